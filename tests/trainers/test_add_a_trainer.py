"""The guide in docs/add_a_trainer.md, followed to the letter: its package is installed, trained with and tested."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM, set_seed

from harness.checkpoints.stage_manifest import read_manifest
from harness.cli import main
from harness.trainers.data import formats
from tests.conftest import ROOT
from tests.trainers.helpers import WORDS, chat_model, write_jsonl

GUIDE = (ROOT / "docs" / "add_a_trainer.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"`([\w.]+)`:\n\n```\w+\n(.*?)```", GUIDE, re.DOTALL))


@pytest.fixture
def folder(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working folder with the guide's files, a parent of four blocks and some questions; the package is installed."""
    project = tomllib.loads(FILES["pyproject.toml"])["project"]
    info = tmp_path / f"top_blocks-{project['version']}.dist-info"
    info.mkdir()
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    groups = project["entry-points"]
    lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in points.items()) for group, points in groups.items()]
    (info / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.delitem(sys.modules, "top_blocks", raising=False)
    monkeypatch.chdir(tmp_path)
    parent = chat_model(tmp_path / "runs" / "parent")
    set_seed(0)
    LlamaForCausalLM(LlamaConfig.from_pretrained(parent, num_hidden_layers=4)).save_pretrained(parent)  # type: ignore[no-untyped-call]
    write_jsonl(
        tmp_path / "questions.jsonl", [{"prompt": f"{a} {b}", "completion": f" {b}"} for a in WORDS for b in WORDS]
    )
    yield tmp_path
    formats.STAGE_FORMATS.pop("top_blocks", None)


def test_the_guide_has_four_files() -> None:
    assert set(FILES) == {"top_blocks.py", "pyproject.toml", "stage.yaml", "test_top_blocks.py"}


def test_the_guides_commands_train_and_its_test_passes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    commands = re.findall(r"^harness (.*?)(?: +#.*)?$", GUIDE, re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["train", "train", "lineage"]
    for command in commands:
        assert main(shlex.split(command)) == 0, capsys.readouterr().err
    manifest = read_manifest(folder / "runs" / "tuned-top")
    assert manifest is not None
    assert (manifest.stage, manifest.finished) == ("top_blocks", True)
    checkpoints = {"PARENT": "runs/parent", "TUNED": "runs/tuned-top"}
    test = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_top_blocks.py"]
    done = subprocess.run(
        test, env={**os.environ, **checkpoints}, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_the_trainer_cannot_do_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "stage.yaml", "--output_path", "runs/adapter", "adapter={type: lora}"]) == 2
    assert "adapter: top_blocks trains the weights themselves" in capsys.readouterr().err
    assert not Path("runs/adapter/model.safetensors").exists()
