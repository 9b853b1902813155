"""The guide's examples and the example stage files work."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from harness.checkpoints.stage_manifest import read_manifest
from harness.cli import main
from harness.trainers import dpo, grpo, kto, pretrain, sft
from harness.trainers.data.spec import DataSpec, SourceSpec
from harness.trainers.stage.spec import StageSpec
from tests.conftest import ROOT
from tests.synthetic.training import write_training_data
from tests.trainers.helpers import chat_model

METHODS = {"pretrain": pretrain, "sft": sft, "dpo": dpo, "kto": kto, "grpo": grpo}
GUIDE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
STAGES = sorted((ROOT / "experiments" / "stages").glob("*.yaml"))


def test_the_shortest_example_of_the_guide_trains_a_model(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (example,) = re.findall(r"```yaml\n(# text\.yaml.*?)```", GUIDE, flags=re.DOTALL)
    command = re.search(r"^harness (train text\.yaml --output_path runs/first)$", GUIDE, flags=re.MULTILINE)
    assert command is not None
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.yaml").write_text(example, encoding="utf-8")
    for name in ("README.md", "docs/tasks.md"):
        (tmp_path / Path(name).name).write_text((ROOT / name).read_text(encoding="utf-8"), encoding="utf-8")
    assert main(command[1].split()) == 0
    manifest = read_manifest(tmp_path / "runs" / "first")
    assert manifest is not None
    assert 20_000 - 128 < manifest.tokens <= 20_000
    assert "19,968" in capsys.readouterr().out


def test_the_guide_names_every_field_of_the_stage_file() -> None:
    for model in (StageSpec, DataSpec, SourceSpec):
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in GUIDE, f"{model.__name__}.{name}"


@pytest.mark.parametrize("path", STAGES, ids=lambda path: path.stem)
def test_every_example_stage_can_be_planned(
    tmp_path: Path, own_cache: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_training_data(tmp_path / "data")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(ROOT)
    spec = yaml.safe_load(path.read_text(encoding="utf-8"))
    parent = str(chat_model(tmp_path / "parent"))
    words = [f"{key}={parent}" for key in ("from", "tokenizer") if str(spec.get(key, "")).startswith("runs/")]
    short = ["data.budget_tokens=20000"]
    assert main(["train", str(path), *words, *short, "--dry_run"]) == 0


def test_the_arms_of_the_study_have_equal_budgets() -> None:
    budgets: dict[str, set[int]] = {}
    for path in STAGES:
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
        budgets.setdefault(spec["stage"], set()).add(spec["data"]["budget_tokens"])
    assert all(len(of_stage) == 1 for of_stage in budgets.values())
