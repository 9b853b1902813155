"""The index: built once, found again, never believed if it is damaged, and as right as the files it was built from."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from harness.errors import HarnessError, InputError, RecordError
from harness.reports.view import preparing
from harness.reports.view.filters import Filter, matches
from harness.reports.view.pages import Pages
from harness.reports.view.sample_lines import flags_of, line_at, preview, verdicts_of
from tests.reports.view.records import TIME, choice, index_of, pages_of, program, text, write_model

NESTED = "[" * 900 + "]" * 900


def built(cache: Path) -> list[Path]:
    return sorted((cache / "view").glob("*.sqlite"))


@pytest.fixture
def small(own_cache: Path, tmp_path: Path) -> Path:
    rows = [choice("colours", n, n < 2) for n in range(4)]
    return write_model(tmp_path / "runs", "one", {"colours": rows}).parent


def test_every_offset_leads_to_the_line_of_its_item(pages: Pages) -> None:
    index = pages.index
    seen = 0
    for task in index.tasks:
        for item in index.items(list(range(task.first, task.first + task.count))):
            for model in task.models:
                _, value, offset = task.answer(item.number, model)
                if offset is not None:
                    row = line_at(pages.models[model].tasks[task.task].samples, offset)
                    assert (row["doc_hash"], row["acc"]) == (item.digest, value)
                    seen += 1
    assert seen == 12 + 10 + 2 * 6 + 2 * 2


def test_an_index_is_built_once_and_again_if_a_record_changes(small: Path, own_cache: Path) -> None:
    index_of(small)
    (first,) = built(own_cache)
    written = first.stat().st_mtime_ns
    moved = small.rename(small.with_name("elsewhere"))
    index_of(moved)
    assert [file.stat().st_mtime_ns for file in built(own_cache)] == [written], "moved records need no new index"
    samples = moved / "one" / f"samples_colours_{TIME}.jsonl"
    samples.write_text(samples.read_text().replace("Prompt 3", "Another"))
    index_of(moved)
    assert len(built(own_cache)) == 2


def test_another_release_builds_its_own_index(small: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index_of(small)
    monkeypatch.setattr(preparing, "_PACKAGES", preparing._PACKAGES[:-1])
    index_of(small)
    assert len(built(own_cache)) == 2


def test_what_a_killed_start_left_is_removed_after_a_day(small: Path, own_cache: Path) -> None:
    folder = own_cache / "view"
    folder.mkdir()
    for name, age in ((".building-old", preparing.STALE_SECONDS + 60), (".building-new", 60.0)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age,) * 2)
    index_of(small)
    assert [file.name for file in folder.iterdir() if file.suffix != ".sqlite"] == [".building-new"]


def test_a_damaged_index_is_built_again(small: Path, own_cache: Path) -> None:
    index_of(small)
    (file,) = built(own_cache)
    file.write_bytes(b"no database" * 500)
    assert index_of(small).count == 4
    assert built(own_cache) == [file]


def test_nothing_half_written_is_left(small: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(preparing, "build", fails)
    with pytest.raises(HarnessError, match=r"No space left on device.*HARNESS_CACHE_DIR"):
        index_of(small)
    assert list((own_cache / "view").iterdir()) == []


def test_a_read_only_cache_is_not_written(small: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_CACHE_READ_ONLY", "1")
    with pytest.raises(InputError, match="does not contain the index of these records"):
        index_of(small)
    monkeypatch.delenv("HARNESS_CACHE_READ_ONLY")
    index_of(small)
    monkeypatch.setenv("HARNESS_CACHE_READ_ONLY", "1")
    assert index_of(small).count == 4


def test_a_record_that_changes_while_it_is_shown_is_an_error_and_no_other_item(small: Path) -> None:
    pages = pages_of(small)
    samples = small / "one" / f"samples_colours_{TIME}.jsonl"
    lines = samples.read_text().splitlines(keepends=True)
    samples.write_text("".join(reversed(lines)))
    with pytest.raises(RecordError, match="changed since the index was built"):
        pages.item(pages.index.items([0])[0], Filter(models=("one",)))
    samples.unlink()
    with pytest.raises(RecordError, match="No such file"):
        pages.item(pages.index.items([0])[0], Filter(models=("one",)))


def test_a_model_whose_every_request_failed_is_shown_as_failed(own_cache: Path, tmp_path: Path) -> None:
    rows = [choice("colours", n, n < 2) for n in range(4)]
    words = [text("words", n, "yes", True) for n in range(2)]
    write_model(tmp_path, "one", {"colours": rows, "words": words})
    write_model(tmp_path, "two", {"words": words})
    record = tmp_path / "two" / f"run_{TIME}.json"
    plain = json.loads(record.read_text())
    plain["tasks"]["colours"] = {**plain["tasks"]["words"], "failed": 4, "value": None}
    record.write_text(json.dumps(plain))
    index = index_of(tmp_path)
    assert matches(index, Filter(models=("two",), task="colours")).counts["failed"] == 4
    assert matches(index, Filter(models=("two",), task="words")).counts["right"] == 2


def test_lines_of_plain_lm_eval_and_odd_lines_are_read(own_cache: Path, tmp_path: Path) -> None:
    """A document nested deeply, a NaN, half of a character, an answer of lm-eval's regex filter that found nothing."""
    rows = [
        text("words", 0, "plain", True),
        text("words", 1, "nan", False, doc={"text": float("nan")}),
        text("words", 2, "half \ud800 of a character", True),
        text("words", 3, "unread", False, filtered_resps=["[invalid]"]),
        text("words", 4, "deep", True, doc={"question": json.loads(NESTED)}),
    ]
    place = write_model(tmp_path, "one", {"words": [row for row in rows if row["doc_id"] != 2]})
    samples = place / f"samples_words_{TIME}.jsonl"
    lines = [json.dumps(row) + "\n" for row in rows]
    samples.write_text("".join(lines))
    results = place / f"results_{TIME}.json"
    content = json.loads(results.read_text())
    content["results"]["words"] |= {"acc,none": 0.6, "sample_len": 5}
    results.write_text(json.dumps(content))
    (place / f"run_{TIME}.json").unlink()
    pages = pages_of(tmp_path)
    counts = matches(pages.index, Filter(models=("one",))).counts
    assert (counts["right"], counts["unparsed"]) == (3, 1)
    for item in pages.index.items(range(5)):
        assert "words" in pages.item(item, Filter(models=("one",)))


def test_verdicts_of_programs_are_read_from_the_text_that_lm_eval_writes() -> None:
    verdicts = verdicts_of(program("programs", 1, "failed", "AssertionError"))
    assert (verdicts["status"], verdicts["detail"], verdicts["passed"]) == (["failed"], ["AssertionError"], [False])


@pytest.mark.parametrize(
    "answer",
    [
        "{'passed': __import__('os').getcwd()}",
        "{'passed': " + "(" * 5000,
        "{'passed': [True], 'status': 3}",
        "{'passed': ",
        [["-1.0", "False"]],
        None,
    ],
)
def test_an_answer_that_only_looks_like_a_verdict_is_none(answer: object) -> None:
    assert verdicts_of({"filtered_resps": [answer]}) == {}


def test_flags_say_what_was_cut_and_what_was_not_read() -> None:
    plain = flags_of(text("words", 0, "yes", True))
    assert plain == 0
    assert flags_of({"cut_tokens": [0, 0]}) == 0
    assert flags_of({"cut_tokens": [0, 3]}) != flags_of({"unparsed": 1.0}) != 0


def test_the_preview_is_the_question_or_the_end_of_the_prompt() -> None:
    assert preview(text("words", 0, "", True)) == "Question 0 of words?"
    long = {"doc": {"id": 7}, "arguments": {"gen_args_0": {"arg_0": "examples " * 100 + "last question?"}}}
    assert preview(long).endswith("last question?")
    assert len(preview(long)) <= 240
    assert preview({"doc": "plain text"}) == "plain text"
    assert preview({}) == ""


def test_a_cleared_cache_does_not_end_a_viewer(small: Path, own_cache: Path) -> None:
    pages = pages_of(small)
    shutil.rmtree(own_cache / "view")
    assert "Question 3" in pages.items(Filter(models=("one",)))
