"""Any mistake in a stage file ends with exit code 2 and one line: what is wrong, where, and what is allowed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from safetensors.numpy import load_file, save_file

from harness.cli import main
from harness.errors import InputError
from harness.trainers import sft
from tests.trainers.helpers import CPU, chat_model, instructions, write_jsonl

Change = Callable[[dict[str, Any], Path], None]


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chat_model(tmp_path_factory.mktemp("models") / "parent")


@pytest.fixture
def spec(tmp_path: Path, parent: Path) -> dict[str, Any]:
    path = write_jsonl(tmp_path / "data.jsonl", instructions(30))
    return {
        "stage": "sft",
        "name": "s",
        "from": str(parent),
        "data": {"budget_tokens": 2000, "sources": {"text": {"path": str(path), "format": "instruction"}}},
        "trainer": dict(CPU),
    }


def text(spec: dict[str, Any]) -> dict[str, Any]:
    source: dict[str, Any] = spec["data"]["sources"]["text"]
    return source


def write(folder: Path, name: str, content: str) -> str:
    (folder / name).write_text(content, encoding="utf-8")
    return str(folder / name)


def missing(spec: dict[str, Any], folder: Path) -> None:
    text(spec)["path"] = str(folder / "nowhere.jsonl")


def empty(spec: dict[str, Any], folder: Path) -> None:
    text(spec)["path"] = write(folder, "empty.jsonl", "")


def other_schema(spec: dict[str, Any], folder: Path) -> None:
    lines = [json.dumps({"instruction": "a", "output": "b"})] * 2 + [json.dumps({"instruction": "a", "reply": "b"})]
    text(spec)["path"] = write(folder, "other.jsonl", "\n".join(lines))


def wrong_type(spec: dict[str, Any], folder: Path) -> None:
    text(spec)["path"] = write(folder, "type.jsonl", json.dumps({"instruction": ["a"], "output": "b"}))


def not_json(spec: dict[str, Any], folder: Path) -> None:
    text(spec)["path"] = write(folder, "bad.jsonl", '{"instruction": "a", "output": "b"}\n{"instruction": \n')


def all_too_long(spec: dict[str, Any], folder: Path) -> None:
    spec["trainer"]["max_length"] = 2


def unknown_source(spec: dict[str, Any], folder: Path) -> None:
    spec["data"]["mixture"] = {"schedule": "stepwise", "phases": [{"text": 1}, {"txt": 1}]}


def negative(spec: dict[str, Any], folder: Path) -> None:
    spec["data"]["mixture"] = {"weights": {"text": -2}}


def zero(spec: dict[str, Any], folder: Path) -> None:
    spec["data"]["mixture"] = {"weights": {"text": 0}}


def small_budget(spec: dict[str, Any], folder: Path) -> None:
    spec["data"]["budget_tokens"] = 3


def small_packed_budget(spec: dict[str, Any], folder: Path) -> None:
    spec["data"]["budget_tokens"] = 500
    spec["trainer"] |= {"packing": True, "max_length": 1024}


def other_architecture(spec: dict[str, Any], folder: Path) -> None:
    spec["architecture"] = "30m"


def other_tokenizer(spec: dict[str, Any], folder: Path) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(spec["from"])
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(folder / "tokenizer")
    spec["tokenizer"] = str(folder / "tokenizer")


def unknown_key(spec: dict[str, Any], folder: Path) -> None:
    spec["data"]["budget_token"] = 1


def another_librarys_name(spec: dict[str, Any], folder: Path) -> None:
    spec["adapter"] = {"rank": 8}


def unknown_trainer_field(spec: dict[str, Any], folder: Path) -> None:
    spec["trainer"]["learning_rat"] = 1


def wrong_trainer_value(spec: dict[str, Any], folder: Path) -> None:
    spec["trainer"]["learning_rate"] = "fast"


def field_set_by_the_stage(spec: dict[str, Any], folder: Path) -> None:
    spec["trainer"]["max_steps"] = 10


def unknown_stage(spec: dict[str, Any], folder: Path) -> None:
    spec["stage"] = "sfft"


def wrong_format(spec: dict[str, Any], folder: Path) -> None:
    text(spec)["format"] = "preference"


def no_parent(spec: dict[str, Any], folder: Path) -> None:
    spec["from"] = str(folder / "nobody")


def qlora_without_cuda(spec: dict[str, Any], folder: Path) -> None:
    spec["adapter"] = {"type": "qlora"}


def zero_accumulation(spec: dict[str, Any], folder: Path) -> None:
    spec["trainer"]["gradient_accumulation_steps"] = 0


def own_chat_template(spec: dict[str, Any], folder: Path) -> None:
    spec["trainer"]["chat_template_path"] = str(folder)


def phases_beside_weights(spec: dict[str, Any], folder: Path) -> None:
    spec["data"]["mixture"] = {"weights": {"text": 1}, "phases": [{"text": 1}]}


def split_of_a_local_file(spec: dict[str, Any], folder: Path) -> None:
    text(spec)["split"] = "validation"


def weights_too_large(spec: dict[str, Any], folder: Path) -> None:
    spec["data"]["sources"]["more"] = text(spec)
    spec["data"]["mixture"] = {"weights": {"text": 1.5e308, "more": 1.5e308}}


def rationale_of_a_format_without_one(spec: dict[str, Any], folder: Path) -> None:
    spec["data"]["rationale"] = "completion"
    line = json.dumps({"prompt": "a", "completion": "b"})
    text(spec).update(path=write(folder, "plain.jsonl", line), format="completion")


def saved_within_a_generation(spec: dict[str, Any], folder: Path) -> None:
    text(spec).update(
        format="problem", path=write(folder, "questions.jsonl", json.dumps({"question": "a", "answer": "b"}))
    )
    spec.update(stage="grpo", trainer={"use_cpu": True, "num_iterations": 2, "save_steps": 3})


def single_state(spec: dict[str, Any], folder: Path) -> None:
    spec["trainer"]["save_total_limit"] = 1


def moving_reference(spec: dict[str, Any], folder: Path) -> None:
    pair = json.dumps({"prompt": "a", "chosen": "b", "rejected": "c"})
    text(spec).update(format="preference", path=write(folder, "pairs.jsonl", pair))
    spec.update(stage="dpo", trainer={"use_cpu": True, "sync_ref_model": True})


CASES: list[tuple[Change, list[str]]] = [
    (missing, ["data.sources.text.path", "nowhere.jsonl"]),
    (empty, ["data.sources.text", "empty.jsonl is empty"]),
    (other_schema, ["other.jsonl, line 3", "field 'output' is missing", "instruction, reply"]),
    (wrong_type, ["type.jsonl, line 1", "field 'instruction' is a list, must be text"]),
    (not_json, ["bad.jsonl, line 2", "not JSON"]),
    (all_too_long, ["data.sources.text", "max_length"]),
    (unknown_source, ["data.mixture.phases[1]", "unknown source 'txt'", "Did you mean text?"]),
    (negative, ["data.mixture.weights", "-2", "0 or more"]),
    (zero, ["data.mixture.weights", "sum to 0"]),
    (small_budget, ["data.budget_tokens: 3", "below one sequence"]),
    (small_packed_budget, ["data.budget_tokens: 500", "one sequence (1024 tokens)"]),
    (other_architecture, ["architecture: 30m", "hidden_size", "the parent"]),
    (other_tokenizer, ["tokenizer: has", "embeddings"]),
    (unknown_key, ["data.budget_token: unknown key", "Did you mean budget_tokens?"]),
    (another_librarys_name, ["adapter.rank: unknown key", "Did you mean r?"]),
    (unknown_trainer_field, ["trainer.learning_rat", "SFTConfig", "Did you mean learning_rate"]),
    (wrong_trainer_value, ["trainer.learning_rate", "'fast' is not float"]),
    (field_set_by_the_stage, ["trainer.max_steps", "data.budget_tokens determines"]),
    (unknown_stage, ["'sfft'", "Did you mean sft?"]),
    (wrong_format, ["data.sources.text.format", "sft learns from"]),
    (no_parent, ["from:", "nobody"]),
    (zero_accumulation, ["trainer.gradient_accumulation_steps: 0", "1 or more"]),
    (own_chat_template, ["trainer.chat_template_path", "template"]),
    (phases_beside_weights, ["data.mixture", "phases does not belong to a static schedule"]),
    (split_of_a_local_file, ["data.sources.text", "split belongs to a hub data set"]),
    (weights_too_large, ["data.mixture.weights", "too large"]),
    (rationale_of_a_format_without_one, ["data.rationale: completion", "'completion'", "Set it to omit"]),
    (saved_within_a_generation, ["trainer.save_steps: 3", "not a multiple of 2"]),
    (single_state, ["trainer.save_total_limit: 1", "2 or more"]),
    (moving_reference, ["trainer.sync_ref_model", "saved states do not contain"]),
    (qlora_without_cuda, ["adapter.type", "CUDA"]),
]


@pytest.mark.parametrize(("change", "expected_parts"), CASES, ids=[change.__name__ for change, _ in CASES])
def test_bad_input_ends_with_exit_code_2_and_one_line(
    tmp_path: Path, own_cache: Path, spec: dict[str, Any], change: Change, expected_parts: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    change(spec, tmp_path)
    stage_file = tmp_path / "stage.yaml"
    stage_file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    capsys.readouterr()
    assert main(["train", str(stage_file), "--output_path", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert all(part in error for part in expected_parts), error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists(), "the corrected stage can use the folder"


def test_a_wrong_record_read_in_a_data_loader_worker_is_reported_in_one_line(
    tmp_path: Path, own_cache: Path, spec: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """A packed stream is not read before training, so a worker process meets the record; its traceback is dropped."""
    path = write_jsonl(tmp_path / "text.jsonl", [{"text": "a b c"}, {"text": "d e f"}, {"txt": "g"}])
    text(spec).update(path=str(path), format="text")
    spec.update(stage="pretrain", trainer={**CPU, "max_length": 8, "dataloader_num_workers": 1})
    stage_file = tmp_path / "stage.yaml"
    stage_file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    capsys.readouterr()
    assert main(["train", str(stage_file), "--output_path", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"harness train: {path}, line 3: field 'text' is missing")
    assert error.count("\n") == 1


def test_an_output_folder_with_another_stage_is_refused_naming_the_difference(
    tmp_path: Path, own_cache: Path, spec: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stage_file = tmp_path / "stage.yaml"
    stage_file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    words = ["train", str(stage_file), "--output_path", str(tmp_path / "out")]
    assert main(words) == 0
    assert "already finished" not in capsys.readouterr().err
    assert main(words) == 0, "the finished stage is not trained again"
    assert "this stage was already finished; nothing was trained" in capsys.readouterr().err
    assert main([*words, "trainer.learning_rate=0.5"]) == 2
    error = capsys.readouterr().err
    assert "holds another stage ('s', trainer.learning_rate 0.001 instead of 0.5)" in error
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.txt").write_text("mine")
    assert main(["train", str(stage_file), "--output_path", str(tmp_path / "full")]) == 2
    assert "is not empty and holds no stage" in capsys.readouterr().err


def test_a_parent_that_was_moved_is_the_same_parent_and_other_weights_are_not(
    tmp_path: Path, own_cache: Path, spec: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stage_file, parent, moved = tmp_path / "stage.yaml", Path(spec["from"]), tmp_path / "moved"
    stage_file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    words = ["train", str(stage_file), "--output_path", str(tmp_path / "out"), f"from={moved}"]
    assert main(words[:-1]) == 0
    shutil.copytree(parent, moved)
    capsys.readouterr()
    assert main(words) == 0, capsys.readouterr().err
    assert "this stage was already finished" in capsys.readouterr().err
    weights = load_file(moved / "model.safetensors")
    save_file({name: value + 1 for name, value in weights.items()}, moved / "model.safetensors", {"format": "pt"})
    assert main(words) == 2
    assert "holds another stage ('s', parent 'sha256:" in capsys.readouterr().err


def test_a_dry_run_prints_budget_steps_parameters_and_memory_and_writes_nothing(
    tmp_path: Path, own_cache: Path, spec: dict[str, Any], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    stage_file = tmp_path / "stage.yaml"
    stage_file.write_text(yaml.safe_dump(spec), encoding="utf-8")
    assert main(["train", str(stage_file), "--output_path", "out", "data.budget_tokens=1500", "--dry_run"]) == 0
    output = capsys.readouterr().out
    for part in ("budget_tokens: 1500", "phase", "steps", "parameters", "memory (estimate)", "when_exhausted: repeat"):
        assert part in output
    assert list((tmp_path / "here").iterdir()) == []


def test_a_damaged_tokenizer_is_one_line(tmp_path: Path, own_cache: Path) -> None:
    parent = chat_model(tmp_path / "parent")
    (parent / "tokenizer.json").write_text('{"model": {"type": "BPE"', encoding="utf-8")
    source = {"path": str(write_jsonl(tmp_path / "data.jsonl", instructions(3)))}
    spec = {"stage": "sft", "name": "a", "from": str(parent), "data": {"budget_tokens": 90, "sources": {"a": source}}}
    with pytest.raises(InputError, match=r"tokenizer: .* cannot be loaded"):
        sft.train(spec, tmp_path / "out")


def test_overrides_change_nested_fields_anywhere_on_the_command_line(
    tmp_path: Path, own_cache: Path, spec: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    stage_file = str(tmp_path / "stage.yaml")
    Path(stage_file).write_text(yaml.safe_dump(spec), encoding="utf-8")
    words = [
        "train",
        stage_file,
        "seed=4",
        "--dry_run",
        "trainer.learning_rate=3e-4",
        "--output_path",
        "x",
        "adapter.r=8",
    ]
    assert main(words) == 0
    output = capsys.readouterr().out
    for part in ("seed: 4", "learning_rate: 0.0003", "r: 8"):
        assert part in output
