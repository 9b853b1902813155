"""Files that change between two runs of a stage, and records that are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from harness.checkpoints.stage_manifest import read_manifest
from harness.errors import InputError
from harness.trainers import pretrain, sft
from tests.trainers.helpers import CPU, chat_model, documents, instructions, write_jsonl

LENGTH = 64


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    return chat_model(tmp_path / "parent")


def texts(path: Path, parent: Path, **data: Any) -> dict[str, Any]:
    """A packed stage reads records only when it needs them."""
    return {
        "stage": "pretrain", "name": "texts", "from": str(parent),
        "data": {"budget_tokens": LENGTH * 24, "shuffle": False,
                 "sources": {"one": {"path": str(path), "format": "text"}}, **data},
        "trainer": {**CPU, "max_length": LENGTH, "save_steps": 1},
    }  # fmt: skip


def broken(lines: list[str], place: int) -> str:
    return "\n".join([*lines[:place], '{"text": ', *lines[place + 1 :]]) + "\n"


def test_a_stage_resumes_after_a_wrong_record_was_corrected(tmp_path: Path, parent: Path) -> None:
    path = write_jsonl(tmp_path / "texts.jsonl", documents(40))
    whole = path.read_text(encoding="utf-8")
    pretrain.train(texts(path, parent), tmp_path / "undisturbed")
    path.write_text(broken(whole.splitlines(), 25), encoding="utf-8")
    with pytest.raises(InputError, match=r"texts\.jsonl, line 26: not JSON"):
        pretrain.train(texts(path, parent), tmp_path / "out")
    assert any((tmp_path / "out" / "training").glob("checkpoint-*"))
    path.write_text(whole, encoding="utf-8")
    pretrain.train(texts(path, parent), tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    assert manifest.resumed == 1
    weights = [load_file(tmp_path / name / "model.safetensors") for name in ("undisturbed", "out")]
    assert all((weights[0][name] == weights[1][name]).all() for name in weights[0])


def test_a_record_that_was_trained_on_must_not_change(tmp_path: Path, parent: Path) -> None:
    path = write_jsonl(tmp_path / "texts.jsonl", documents(40))
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text(broken(lines, 25), encoding="utf-8")
    with pytest.raises(InputError, match="not JSON"):
        pretrain.train(texts(path, parent), tmp_path / "out")
    changed = '{"text": ' + json.dumps(json.loads(lines[0])["text"][::-1]) + "}"
    assert len(changed) == len(lines[0])
    assert changed != lines[0]
    path.write_text("\n".join([changed, *lines[1:]]) + "\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"data\.sources\.one: .*texts\.jsonl has changed where it was trained on"):
        pretrain.train(texts(path, parent), tmp_path / "out")


def test_a_record_of_which_a_part_was_trained_on_must_not_change(tmp_path: Path, parent: Path) -> None:
    long = {"text": " ".join(["a cat sat on the mat"] * 400)}  # fills several sequences
    path = write_jsonl(tmp_path / "texts.jsonl", [long])
    spec = texts(path, parent, when_exhausted="end")
    from harness.trainers.stage import run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            pretrain.train(spec, tmp_path / "out")
    path.write_text(path.read_text(encoding="utf-8").replace("cat", "dog"), encoding="utf-8")
    with pytest.raises(InputError, match="has changed where it was trained on"):
        pretrain.train(spec, tmp_path / "out")


def test_a_shuffled_stage_resumes_after_a_correction_in_place(tmp_path: Path, parent: Path) -> None:
    path = write_jsonl(tmp_path / "texts.jsonl", documents(60))
    whole = path.read_text(encoding="utf-8")
    lines = whole.splitlines()
    path.write_text("\n".join(['{"other": 1}' if n == 50 else line for n, line in enumerate(lines)]) + "\n", "utf-8")
    spec = texts(path, parent, shuffle=True)
    spec["data"]["budget_tokens"] = LENGTH * 60
    with pytest.raises(InputError, match="line 51: field 'text' is missing"):
        pretrain.train(spec, tmp_path / "out")
    path.write_text(whole, encoding="utf-8")
    pretrain.train(spec, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    assert manifest.finished


def test_bad_records_may_be_skipped_when_a_stage_resumes(tmp_path: Path, parent: Path) -> None:
    path = write_jsonl(tmp_path / "texts.jsonl", documents(40))
    path.write_text(broken(path.read_text(encoding="utf-8").splitlines(), 25), encoding="utf-8")
    with pytest.raises(InputError, match="not JSON"):
        pretrain.train(texts(path, parent), tmp_path / "out")
    pretrain.train(texts(path, parent, when_bad="skip"), tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    assert manifest.sources[0].skipped == 1


def test_other_data_than_that_of_a_finished_stage_is_refused(tmp_path: Path, parent: Path) -> None:
    path = write_jsonl(tmp_path / "texts.jsonl", documents(40))
    pretrain.train(texts(path, parent), tmp_path / "out")
    pretrain.train(texts(path, parent), tmp_path / "out")
    write_jsonl(path, documents(40, seed=9))
    with pytest.raises(InputError, match=r"finished with other data \(source 'one' has changed since\)"):
        pretrain.train(texts(path, parent), tmp_path / "out")


def test_a_stage_with_repeated_sources_resumes(tmp_path: Path, parent: Path) -> None:
    path = write_jsonl(tmp_path / "texts.jsonl", documents(9))  # read several times
    pretrain.train(texts(path, parent), tmp_path / "whole")
    from harness.trainers.stage import run

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_finish", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            pretrain.train(texts(path, parent), tmp_path / "out")
    pretrain.train(texts(path, parent), tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    assert manifest.sources[0].repeats > 0


@pytest.mark.parametrize("stage", ["pretrain", "sft"])
def test_wrong_records_are_skipped_counted_and_named(tmp_path: Path, parent: Path, stage: str) -> None:
    rows: list[Any] = documents(40) if stage == "pretrain" else instructions(40)
    lines = [json.dumps(row) for row in rows]
    wrong = [0, 3, *range(10, 21)]
    for place in wrong:
        lines[place] = '{"text": ' if place % 2 else json.dumps({"other": 1})
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    spec = texts(path, parent, when_bad="skip", when_exhausted="end")
    if stage == "sft":
        spec |= {"stage": "sft"}
        spec["data"]["sources"]["one"]["format"] = "instruction"
    (sft if stage == "sft" else pretrain).train(spec, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None
    (source,) = manifest.sources
    assert source.skipped == len(wrong)
    assert source.first_skipped == tuple(f"{path}, line {place + 1}" for place in wrong[:10])
    spec["data"]["when_bad"] = "stop"
    with pytest.raises(InputError, match="line 1: field"):
        (sft if stage == "sft" else pretrain).train(spec, tmp_path / "other")
