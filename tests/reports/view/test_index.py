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
from harness.reports.view.export import exported
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
                    row = line_at(pages.models[model].tasks[task.task].samples_file, offset)
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
    def fails(*_: object, **__: object) -> None:
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
    write_model(tmp_path, "two", {"words": words}, failed={"colours": 4})
    index = index_of(tmp_path)
    assert matches(index, Filter(models=("two",), task="colours")).counts["failed"] == 4
    assert matches(index, Filter(models=("two",), task="words")).counts["right"] == 2


def listed(pages: Pages, **fields: object) -> list[tuple[str, int]]:
    """Task and number of the items in a list."""
    wanted = Filter(**{"models": pages.index.models, **fields})  # type: ignore[arg-type]  # the fields' own types
    numbers = matches(pages.index, wanted).numbers.tolist()
    return [(item.task, item.doc_id) for item in pages.index.items(numbers)]


def test_an_item_that_failed_under_every_model_is_listed_and_has_a_page(own_cache: Path, tmp_path: Path) -> None:
    """`one` was asked items 0 to 4, `two` the items 1, 3, 7; the requests of 2 and 4, and of 7, have no answer."""
    rows = [choice("colours", n, True) for n in (0, 1, 3)]
    write_model(tmp_path, "one", {"colours": rows}, failed={"colours": 2})
    write_model(tmp_path, "two", {"colours": rows[1:]}, failed={"colours": 1}, samples={"colours": [1, 3, 7]})
    pages = pages_of(tmp_path)
    both = Filter(models=("one", "two"), task="colours")
    assert listed(pages) == [("colours", n) for n in (0, 1, 3, 2, 4, 7)]
    assert listed(pages, outcome="failed") == [("colours", n) for n in (2, 4, 7)]
    assert listed(pages, outcome="failed", models=("two",)) == [("colours", 7)]
    task = pages.index.task("colours")
    assert task is not None
    item = pages.index.find(task, "number-4")
    assert item is not None
    assert (item.doc_id, item.id, item.digest) == (4, "number-4", "")
    html = pages.item(item, both)
    assert "colours, item 4" in html
    assert "the records have no text of it" in html
    assert html.count('class="outcome failed"') == 2, "in the table and beside the text, of the first model"
    assert html.count('class="outcome not-asked"') == 2
    assert 'href="/item?model=one&amp;model=two&amp;task=colours&amp;id=number-4"' in pages.items(both)


def test_a_task_that_failed_under_every_model_is_listed(own_cache: Path, tmp_path: Path) -> None:
    words = [text("words", n, "yes", True) for n in range(2)]
    for name in ("one", "two"):
        write_model(tmp_path, name, {"words": words}, failed={"colours": 3})
    pages = pages_of(tmp_path)
    assert listed(pages, outcome="failed") == [("colours", n) for n in range(3)]
    assert "/items?model=one&amp;task=colours&amp;outcome=failed" in pages.overview()


def test_failed_items_are_those_that_a_real_run_left_out(own_cache: Path, failed_run: Path) -> None:
    """Both records are of one run, so every failed item failed under every model."""
    pages = pages_of(failed_run)
    (model,) = pages.models.values()
    for name, run in model.tasks.items():
        record = json.loads(run.results.with_name(f"run_{run.time}.json").read_text())["tasks"][name]
        count = matches(pages.index, Filter(models=(model.name,), task=name)).counts
        lines = {json.loads(line)["doc_id"] for line in run.samples.read_text().splitlines()}
        assert count["failed"] == record["items"] - len(lines)
        assert set(listed(pages, task=name, outcome="failed")) == {
            (name, number) for number in set(range(record["items"])) - lines
        }
    assert any(run.failed for run in model.tasks.values())


DAMAGES = {
    "no JSON": lambda line: line.replace('"doc": {', '"doc": {{'),
    "no object within": lambda line: line.replace('"question": "', '"question": "\\q'),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_lines_are_skipped_and_counted_or_named_by_number(own_cache: Path, tmp_path: Path, damage: str) -> None:
    rows = [text("words", n, f"answer {n}", n != 1) for n in range(4)]
    for name in ("one", "two"):
        write_model(tmp_path, name, {"words": rows})
    for name, numbers in (("one", (1, 2)), ("two", (2,))):
        file = tmp_path / name / f"samples_words_{TIME}.jsonl"
        lines = file.read_text().splitlines(keepends=True)
        file.write_text("".join(DAMAGES[damage](line) if n in numbers else line for n, line in enumerate(lines)))
    with pytest.raises(
        RecordError, match=r"samples_words_.*: line 2 is not JSON.* Restore it, or give --skip_broken\.$"
    ):
        pages_of(tmp_path)
    pages = pages_of(tmp_path, skip_broken=True)
    html = pages.overview()
    assert "samples of one on words: 2 lines, first line 2." in html
    assert "samples of two on words: 1 line, first line 3." in html
    both = Filter(models=("one", "two"), task="words")
    counts = matches(pages.index, both).counts
    assert (counts[""], counts["right"], counts["wrong"]) == (4, 3, 1), "the values are those of the reports"
    items = {item.doc_id: item for item in pages.index.items(range(4))}
    assert items[1].preview == "Question 1 of words?", "another model's line has it"
    assert items[2].preview == ""
    page = pages.item(items[1], both)
    assert "<b>one:</b> its line in the samples file is damaged" in page
    assert "answer 1" in page
    assert "Question" not in pages.item(items[2], both)
    exported_lines = "".join(exported(pages.index, pages.details, both, "jsonl")).splitlines()
    assert [bool(json.loads(line)["answers"][0].get("problem")) for line in exported_lines] == [
        False,
        True,
        True,
        False,
    ]


def test_a_line_that_is_no_sample_costs_its_text_only(own_cache: Path, tmp_path: Path) -> None:
    rows = [text("words", n, f"answer {n}", True, **({"arguments": 7} if n == 1 else {})) for n in range(3)]
    write_model(tmp_path, "one", {"words": rows})
    pages = pages_of(tmp_path)
    item = pages.index.items([1])[0]
    assert "its line in the samples file is damaged" in pages.item(item, Filter(models=("one",)))
    assert len("".join(exported(pages.index, pages.details, Filter(models=("one",)), "csv")).splitlines()) == 4


def test_samples_of_older_releases_of_lm_eval_are_shown(own_cache: Path, tmp_path: Path) -> None:
    """Until 0.4.3 a samples file was one indented JSON array, without digests."""
    rows = [text("words", n, f"answer {n} é", True) for n in range(3)]
    place = write_model(tmp_path, "one", {"words": rows})
    (place / f"run_{TIME}.json").unlink()
    file = place / f"samples_words_{TIME}.jsonl"
    old = [{key: value for key, value in row.items() if not key.endswith("_hash")} for row in rows]
    file.with_suffix(".json").write_text(json.dumps(old, indent=2))
    file.unlink()
    pages = pages_of(tmp_path)
    assert listed(pages, words='"answer 2"') == [("words", 2)]
    assert "answer 2 é" in pages.item(pages.index.items([2])[0], Filter(models=("one",)))


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
