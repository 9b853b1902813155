"""A trainer from another package works like the project's own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from harness.cli import main

MODULE = """
from pathlib import Path
from harness.checkpoints import resolve
import shutil

def train(spec, out_dir: Path):
    shutil.copytree(spec["from"], out_dir)
    return resolve(str(out_dir))

def plan(spec):
    return {"spec": dict(spec), "steps": [{"steps": "none"}]}
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An installed distribution with a trainer and a planner."""
    site = tmp_path / "site"
    info = site / "copyist-1.0.dist-info"
    info.mkdir(parents=True)
    (site / "copyist.py").write_text(MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: copyist\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[harness.trainers]\ncopy = copyist:train\n\n[harness.planners]\ncopy = copyist:plan\n"
    )
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    return site


def test_a_trainer_of_another_package_is_found_and_plans_and_trains(
    package: Path, tiny_parent: Path, own_cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stage = tmp_path / "stage.yaml"
    stage.write_text(f"stage: copy\nname: copied\nfrom: {tiny_parent}\n")
    assert main(["train", str(stage), "--dry_run"]) == 0
    assert "none" in capsys.readouterr().out
    assert main(["train", str(stage), "--output_path", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "model.safetensors").read_bytes() == (tiny_parent / "model.safetensors").read_bytes()
    assert capsys.readouterr().out.strip().endswith(str(tmp_path / "out"))
    stage.write_text("stage: copi\nname: copied\n")
    assert main(["train", str(stage), "--output_path", str(tmp_path / "other")]) == 2
    assert "Did you mean copy?" in capsys.readouterr().err


@pytest.fixture
def tiny_parent(tmp_path: Path) -> Path:
    from tests.trainers.helpers import chat_model

    return chat_model(tmp_path / "parent")
