"""The guide's examples and the example stage files work."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.checkpoints.stage_manifest import read_manifest
from harness.cli import main
from harness.trainers import dpo, grpo, kto, pretrain, sft
from harness.trainers.data.spec import DataSpec, SourceSpec
from harness.trainers.stage.spec import StageSpec
from tests.conftest import ROOT
from tests.synthetic.training import write_training_data
from tests.trainers.helpers import CPU, chat_model, documents, instructions, marked_answers, preferences, write_jsonl

METHODS = {"pretrain": pretrain, "sft": sft, "dpo": dpo, "kto": kto, "grpo": grpo}
GUIDE = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
PRESETS = [ROOT / "experiments" / "stages" / f"{name}.yaml" for name in (*METHODS, "average")]
HUB = {*(ROOT / "experiments" / "stages").glob("hub_*.yaml")}  # filled by experiments; tests/study plans those
STAGES = sorted({*(ROOT / "experiments" / "stages").glob("*.yaml")} - {*PRESETS} - HUB)  # the arms of the study


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


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_a_preset_has_a_comment_on_every_field(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--example", path.stem]) == 0
    text = capsys.readouterr().out
    assert text == path.read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if "#" not in line] == []


@pytest.mark.parametrize("path", PRESETS[:-1], ids=lambda path: path.stem)
def test_a_preset_trains_a_model(tmp_path: Path, own_cache: Path, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    turns = [{"role": "user", "content": "a cat"}, {"role": "assistant", "content": "sat"}]
    records: dict[str, list[Any]] = {
        "text": documents(40), "text_held_out": documents(5, seed=8), "alpaca": instructions(40),
        "conversations": [{"messages": turns}],
        "held_out": instructions(4, seed=9), "pairs": preferences(40), "held_out_pairs": preferences(4, seed=9),
        "answers": marked_answers(40), "held_out_answers": marked_answers(4, seed=9),
    }  # fmt: skip
    for folder in ("data", "corpus/text", "corpus/code"):
        Path(folder).mkdir(parents=True)
    for name, rows in records.items():
        write_jsonl(Path("data") / f"{name}.jsonl", rows)
    Path("data/alpaca.jsonl").rename("data/alpaca.json")
    Path("data/alpaca.json").write_text(json.dumps(records["alpaca"]), encoding="utf-8")
    Path("data/text.jsonl").rename("corpus/text/text.jsonl")
    Path("data/text_held_out.jsonl").rename("corpus/held_out.jsonl")
    Path("corpus/code/one.py").write_text("def one():\n    return 1\n" * 30, encoding="utf-8")
    chat_model(tmp_path / "parent")
    words = ["data.budget_tokens=600", "trainer.use_cpu=true", "trainer.gradient_accumulation_steps=1"]
    words += ["trainer.save_steps=100"]
    if path.stem == "pretrain":
        words += [
            "architecture=tiny",
            "tokenizer={vocab_size: 300}",
            "trainer.max_length=48",
            "data.budget_tokens=2000",
        ]
    else:
        words.append("from=parent")
    if path.stem == "grpo":
        words += [
            "trainer.max_completion_length=4",
            "trainer.num_generations=2",
            "trainer.per_device_train_batch_size=2",
        ]
    assert main(["train", str(path), "--dry_run", *words]) == 0
    assert main(["train", str(path), "--output_path", "out", *words]) == 0
    manifest = read_manifest(Path("out"))
    assert manifest is not None
    assert manifest.finished
    assert (manifest.evaluation is not None) == (path.stem != "grpo")


def test_the_preset_of_an_average_works_on_the_states_of_a_training(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    source = {"path": str(write_jsonl(Path("text.jsonl"), documents(40)))}
    spec = {
        "stage": "pretrain", "name": "base", "from": str(chat_model(tmp_path / "parent")),
        "data": {"budget_tokens": 2000, "sources": {"one": source}},
        "trainer": {**CPU, "max_length": 48, "save_steps": 2, "save_total_limit": 5},
    }  # fmt: skip
    pretrain.train(spec, tmp_path / "runs" / "base")
    assert main(["train", str(PRESETS[-1]), "--output_path", "averaged"]) == 0
    manifest = read_manifest(Path("averaged"))
    assert manifest is not None
    assert len(manifest.parents) == 5


def test_the_arms_of_the_study_have_equal_budgets() -> None:
    budgets: dict[str, set[int]] = {}
    for path in STAGES:
        spec = yaml.safe_load(path.read_text(encoding="utf-8"))
        budgets.setdefault(spec["stage"], set()).add(spec["data"]["budget_tokens"])
    assert all(len(of_stage) == 1 for of_stage in budgets.values())
