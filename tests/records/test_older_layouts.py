"""Folders of older releases of lm-eval are read, and pair item by item with today's."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from lm_eval.utils import handle_non_serializable, hash_string

from harness.errors import RecordError
from harness.records import index, load, read_samples
from harness.records.samples import iterate_samples
from tests.records.older_runs import PREFIX, TIME, results, rows, write_dated, write_flat

VALUES = [1.0, 0.0, 1.0, 1.0]


def flat(folder: Path, **more: Any) -> Path:
    return write_flat(folder, "t", results("t", {"acc,none": 0.75, "acc_stderr,none": 0.25}, **more), rows(VALUES))


def dated(folder: Path, name: str) -> Path:
    return write_dated(folder, "t", results("t", {"acc,none": 0.75, "acc_stderr,none": 0.25}), rows(VALUES), name)


@pytest.mark.parametrize("layout", ["flat", "{prefix}_{task}.jsonl", "samples_{task}_{time}.json",
                                    "samples_{task}_{time}.jsonl"])  # fmt: skip
def test_an_older_folder_is_read_with_its_items(layout: str, tmp_path: Path) -> None:
    folder = flat(tmp_path / "out") if layout == "flat" else dated(tmp_path / "out", layout)
    (model,) = load([tmp_path]).models
    run = model.tasks["t"]
    assert (model.name, model.source, run.engine) == ("org/model", "org/model", "lm-eval:hf")
    assert (run.metric, run.value, run.stderrs["acc,none"]) == ("acc,none", 0.75, 0.25)
    assert run.headline_values.tolist() == VALUES
    assert run.chance == 0.5, "from the number of choices"
    assert run.results.parent == folder
    doc = json.dumps(rows(VALUES)[1]["doc"], indent=2, default=handle_non_serializable, ensure_ascii=False)
    assert run.items.doc_hash[1].decode() == hash_string(doc), "the digest that today's lm-eval computes"
    assert run.items.prompt_hash[1].decode() == hash_string("Frage 1: größer?")
    assert run.items.target_hash[1].decode() == hash_string("0")


def test_an_older_sample_is_shown_like_todays(tmp_path: Path) -> None:
    flat(tmp_path / "out")
    run = load([tmp_path]).models[0].tasks["t"]
    wanted = run.items.doc_hash[2].decode()
    (sample,) = read_samples(run, {wanted}).values()
    assert (sample.prompt, sample.choices, sample.log_likelihoods) == ("Frage 2: größer?", ("ja", "nein"), (-1.0, -2.0))
    assert (sample.answer, sample.target) == ("ja", "ja")
    assert [row["doc_id"] for row, _ in iterate_samples(run)] == [0, 1, 2, 3]


def test_rows_of_two_filters_are_told_apart_by_their_order(tmp_path: Path) -> None:
    strict, flexible = rows([1.0, 0.0], "exact_match"), rows([1.0, 1.0], "exact_match")
    metrics = {"exact_match,strict-match": 0.5, "exact_match,flexible-extract": 1.0}
    write_flat(tmp_path / "out", "t", results("t", metrics), [*strict, *flexible])
    run = load([tmp_path]).models[0].tasks["t"]
    assert run.items.rows("strict-match").tolist() == [0, 1]
    assert run.items.rows("flexible-extract").tolist() == [2, 3]
    assert run.headline_values.tolist() == [1.0, 0.0]


def test_a_loss_is_better_when_lower_though_only_the_configuration_says_so(tmp_path: Path) -> None:
    write_flat(tmp_path / "out", "t", results("t", {"loss,none": 0.5}), rows([0.5, 0.5], "loss"))
    assert load([tmp_path]).models[0].tasks["t"].higher_is_better is False


def test_lines_without_digests_are_read_too(tmp_path: Path) -> None:
    folder = dated(tmp_path / "out", "samples_{task}_{time}.jsonl")
    lines = "".join(json.dumps(row) + "\n" for row in rows(VALUES))
    (folder / f"samples_t_{TIME}.jsonl").write_text(lines)
    assert load([tmp_path]).models[0].tasks["t"].headline_values.tolist() == VALUES


def test_results_before_0_4_have_values_but_no_items(tmp_path: Path) -> None:
    written = {
        "results": {"t": {"acc": 0.75, "acc_stderr": 0.25}},
        "versions": {"t": 0},
        "config": {"model": "hf-causal", "model_args": "pretrained=org/model"},
    }
    (tmp_path / "results.json").write_text(json.dumps(written, indent=2))
    run = index([tmp_path]).models[0].tasks["t"]
    assert (run.metric, run.value, run.stderrs["acc,none"]) == ("acc,none", 0.75, 0.25)
    with pytest.raises(RecordError, match="missing, but comparisons need the items"):
        load([tmp_path])


def test_the_time_is_the_recorded_date_or_that_of_the_file(tmp_path: Path) -> None:
    for name, more in (("a", {"date": 1714979289.5}), ("b", {})):
        os.utime(flat(tmp_path / name, **more) / "results.json", (1.6e9, 1.6e9))
    times = [index([tmp_path / name]).models[0].tasks["t"].time for name in "ab"]
    assert times[0].startswith("2024-05-06T")
    assert times[1].startswith("2020-09-1")
    assert index([tmp_path]).models[0].tasks["t"].time == times[0], "the later run counts"


def test_a_results_json_of_another_program_is_no_run(tmp_path: Path) -> None:
    flat(tmp_path / "out")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "results.json").write_text('{"accuracy": 1}')
    assert [model.name for model in load([tmp_path]).models] == ["org/model"]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda text: text[: len(text) // 2], "not JSON"),
        (lambda text: text.replace('"doc_id": 1', '"doc_number": 1'), "lacks doc_id"),
        (lambda text: text.replace("[", "{", 1), "cut off|not JSON"),
    ],
)
def test_a_damaged_older_file_is_named(change: Any, problem: str, tmp_path: Path) -> None:
    file = flat(tmp_path / "out") / f"{PREFIX}_t.jsonl"
    file.write_text(change(file.read_text(encoding="utf-8")), encoding="utf-8")
    with pytest.raises(RecordError, match=f"{file.name}: .*({problem})"):
        load([tmp_path])
