"""Samples files are read by a fast reader, to the same values as by plain JSON."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.errors import RecordError
from harness.records import index, load
from harness.records.items import read_item_table
from harness.records.older_layouts import SamplesFile
from harness.records.samples import read_samples
from tests.reports.records_for_tests import write_run

TRICKY = ['", "filter": "x', '{"doc_hash": "no"}', "多选题", "\\", "\n", ', "filter": ', "}", "\u2028"]
_texts = st.lists(st.sampled_from([*TRICKY, "plain"]), max_size=4).map(" ".join)
_numbers = st.one_of(st.floats(allow_nan=False, allow_infinity=False), st.none(), st.booleans(), st.integers(-3, 3))
_rows = st.lists(
    st.fixed_dictionaries(
        {
            "text": _texts,
            "filter": st.sampled_from(["none", "strict", 'quo"ted']),
            "values": st.dictionaries(st.sampled_from(["acc", "acc_norm", "bleu"]), _numbers),
        }
    ),
    min_size=1,
    max_size=8,
)


def _line(number: int, row: dict[str, Any]) -> str:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    written = {
        "doc_id": number,
        "doc": {"text": row["text"], "filter": {"filter": row["text"]}, "group": number % 2},
        "arguments": {"gen_args_0": {"arg_0": row["text"]}},
        "filter": row["filter"],
        "metrics": list(row["values"]),
        "doc_hash": digest,
        "prompt_hash": digest[::-1],
        "target_hash": digest,
        **row["values"],
    }
    return json.dumps(written, ensure_ascii=False) + "\n"


@given(rows=_rows)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_column_equals_what_plain_json_reads(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    file = tmp_path / "samples.jsonl"
    file.write_text("".join(_line(n, row) for n, row in enumerate(rows)), encoding="utf-8")
    plain = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
    items = read_item_table(SamplesFile(path=file), cluster="group")
    for name in ("doc_hash", "prompt_hash", "target_hash"):
        assert [digest.decode() for digest in getattr(items, name).tolist()] == [row[name] for row in plain]
    filters = [items.filter] * len(plain) if isinstance(items.filter, str) else items.filter.tolist()
    assert filters == [row["filter"] for row in plain]
    assert items.cluster is not None
    assert items.cluster.tolist() == [str(row["doc"]["group"]) for row in plain]
    assert set(items.values) == {name for row in rows for name in row["values"]}
    for name, column in items.values.items():
        for value, row in zip(column.tolist(), plain, strict=True):
            expected = row.get(name)
            assert math.isnan(value) if expected is None else value == float(expected)


def test_lines_of_an_older_lm_eval_without_a_filter_are_read(tmp_path: Path) -> None:
    digest = "a" * 64
    row = {"doc_id": 0, "doc": {}, "doc_hash": digest, "prompt_hash": digest, "target_hash": digest, "acc": 1.0}
    file = tmp_path / "samples.jsonl"
    file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    items = read_item_table(SamplesFile(path=file))
    assert items.values["acc"].tolist() == [1.0]
    assert items.rows("none").size == 1


def test_two_seeds_of_one_name_are_two_models(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "m", range(8))
    write_run(tmp_path / "b", "m", range(9))
    for folder, digest in (("a", "sha256:aaaa"), ("b", "sha256:bbbb")):
        file = next((tmp_path / folder / "m").glob("results_*"))
        written = json.loads(file.read_text())
        written["config"]["model_sha"] = digest
        file.write_text(json.dumps(written))
    assert [model.name for model in load([tmp_path]).models] == ["m (aaaa)", "m (bbbb)"]


def test_the_same_model_in_two_folders_is_one_with_the_tasks_of_both(tmp_path: Path) -> None:
    write_run(tmp_path / "a", "m", range(8), task="one")
    write_run(tmp_path / "b", "m", range(9), task="two")
    (model,) = index([tmp_path]).models
    assert list(model.tasks) == ["one", "two"]


def test_a_results_file_itself_and_hidden_folders(tmp_path: Path) -> None:
    place = write_run(tmp_path / "a", "m", range(8))
    write_run(tmp_path / "a" / ".writing-x", "half", range(9))
    assert len(load([tmp_path]).models) == 1
    assert load([next(place.glob("results_*"))]).models[0].name == "m"
    with pytest.raises(RecordError, match="no such run folder"):
        load([tmp_path / "a" / "m" / "samples"])


def test_a_sample_has_choices_scores_key_and_answer(tmp_path: Path) -> None:
    extra = [
        {
            "doc": {"choices": ["red", "blue"], "gold": 1, "rationale": "because"},
            "arguments": {f"gen_args_{i}": {"arg_0": "Colour?", "arg_1": f" {i}"} for i in range(2)},
            "resps": [[["-3.5", "False"]], [["-1.5", "True"]]],
            "filtered_resps": [["-3.5", "False"], ["-1.5", "True"]],
        }
    ] * 3
    run = load([write_run(tmp_path, "m", {0}, items=3, extra=extra)]).models[0].tasks["ceval_logic_paper"]
    wanted = run.items.doc_hash[1].decode()
    (sample,) = read_samples(run, {wanted}).values()
    assert (sample.doc_hash, sample.prompt, sample.choices) == (wanted, "Colour?", ("red", "blue"))
    assert (sample.log_likelihoods, sample.chosen, sample.key) == ((-3.5, -1.5), 1, 1)
    assert (sample.answer, sample.target, sample.rationale) == ("blue", "blue", "because")


def test_the_answer_of_a_thinking_model_is_quoted_from_the_text_after_its_reasoning(tmp_path: Path) -> None:
    """Filters get the text after the reasoning, so their spans count from there."""
    row = {
        "doc": {},
        "arguments": {"gen_args_0": {"arg_0": "Colour?", "arg_1": {}}},
        "resps": [["<think>It might be (A). The answer is red?</think>\n\n So the answer is (B)."]],
        "filtered_resps": ['{"value": "B", "span": [3, 20], "rule": "answer"}'],
    }
    place = write_run(tmp_path, "m", {0}, items=1, extra=[row])
    run = replace(load([place]).models[0].tasks["ceval_logic_paper"], think_end="</think>")
    (sample,) = read_samples(run, {run.items.doc_hash[0].decode()}).values()
    assert sample.read_from == "“the answer is (B)”, rule answer"
    assert sample.span is not None
    assert sample.text[slice(*sample.span)] == "the answer is (B)"


@pytest.mark.parametrize(
    ("response", "answer", "read_from"),
    [
        ('{"value": "B", "span": [10, 23], "rule": "answer"}', "B", "“The answer is”, rule answer"),
        ("[unparsed]", "[unparsed]", ""),
        ("B", "B", ""),
        ('{"value": ', '{"value": ', ""),
    ],
)
def test_a_sample_shows_where_its_answer_was_read(response: str, answer: str, read_from: str, tmp_path: Path) -> None:
    row = {
        "doc": {},
        "arguments": {"gen_args_0": {"arg_0": "Colour?", "arg_1": {}}},
        "resps": [["It is so. The answer is (B)."]],
        "filtered_resps": [response],
    }
    run = load([write_run(tmp_path, "m", {0}, items=1, extra=[row])]).models[0].tasks["ceval_logic_paper"]
    (sample,) = read_samples(run, {run.items.doc_hash[0].decode()}).values()
    assert (sample.answer, sample.read_from) == (answer, read_from)
