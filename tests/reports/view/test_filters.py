"""Items by outcome, task and words, compared with a count by hand over the lines of the records."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest

from harness.errors import InputError
from harness.records import load
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm
from harness.reports.view.filters import Filter, filter_of, matches
from harness.reports.view.outcomes import BETWEEN, RIGHT, UNSCORED, WRONG, codes_of
from harness.reports.view.pages import Pages
from tests.reports.view.records import digest_of, index_of, text, write_model

BOTH = ("base", "code")


def ids(pages: Pages, **fields: object) -> set[tuple[str, int]]:
    """Task and number of the items that match."""
    wanted = Filter(**{"models": BOTH, **fields})  # type: ignore[arg-type]  # the fields' own types
    numbers = matches(pages.index, wanted).numbers.tolist()
    return {(item.task, item.doc_id) for item in pages.index.items(numbers)}


def of(task: str, *numbers: int) -> set[tuple[str, int]]:
    return {(task, number) for number in numbers}


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        ("right", of("colours", 3, 4, 5) | of("words", 0, 2, 4, 5) | of("programs", 0)),
        ("wrong", of("colours", 9)),
        ("gained", of("colours", 6, 7, 8)),
        ("lost", of("colours", 0, 1, 2) | of("words", 1, 3) | of("programs", 1)),
        ("failed", of("colours", 10, 11)),
        ("cut", of("words", 2)),
        ("unparsed", of("words", 3)),
        ("between", set()),
    ],
)
def test_items_are_found_by_their_outcome(pages: Pages, outcome: str, expected: set[tuple[str, int]]) -> None:
    assert ids(pages, outcome=outcome) == expected
    counts = matches(pages.index, Filter(models=BOTH)).counts
    assert counts[outcome] == len(expected)


def test_flipped_items_are_those_gained_or_lost(pages: Pages) -> None:
    assert ids(pages, outcome="flipped") == ids(pages, outcome="gained") | ids(pages, outcome="lost")


def test_gained_and_lost_are_the_numbers_of_the_report(every_outcome: Path, pages: Pages) -> None:
    arms = [Arm(name=model.name, models=(model,)) for model in load([every_outcome]).models]
    for one in compare(arms).differences:
        counts = matches(pages.index, Filter(models=BOTH, task=one.task)).counts
        assert (counts["gained"], counts["lost"]) == (one.gained, one.lost)


def test_one_model_has_outcomes_of_its_own(pages: Pages) -> None:
    assert ids(pages, models=("code",), outcome="right", task="colours") == of("colours", 3, 4, 5, 6, 7, 8)
    assert "gained" not in matches(pages.index, Filter(models=("code",))).counts


def test_words_are_looked_up_in_the_question_and_in_the_answers_of_the_shown_models(pages: Pages) -> None:
    assert ids(pages, words='"question 3"') == of("colours", 3) | of("words", 3)
    assert ids(pages, words="dark") == of("words", 1)
    assert ids(pages, words="dark", models=("base",)) == set()
    assert ids(pages, words="逻辑") == of("words", 4)
    assert ids(pages, words='"light energy"', outcome="lost") == of("words", 1, 3)
    assert ids(pages, words="photosyn*", task="colours") == set()


@pytest.mark.parametrize("words", ["++", "≥", "*", '""', "\0"])
def test_words_that_cannot_be_searched_find_nothing_and_the_page_says_why(pages: Pages, words: str) -> None:
    assert ids(pages, words=words) == set()
    html = pages.items(Filter(models=BOTH, words=words))
    assert "Nothing to search for: only words with a letter or a digit can be found." in html
    assert "none of 0" in html


@pytest.mark.parametrize(("words", "n_links"), [("nowhere", 0), ("energy", 2)])
def test_only_a_list_with_items_can_be_saved(pages: Pages, words: str, n_links: int) -> None:
    html = pages.items(Filter(models=("base", "code"), words=words))
    assert html.count('href="/export?') == n_links
    assert ("Save these" in html) == (n_links > 0)


def test_spaces_alone_are_no_search(pages: Pages) -> None:
    assert filter_of(pages.index, [("words", "  ")]).words == ""
    assert filter_of(pages.index, [("words", " light ")]).words == "light"


def test_a_search_reads_the_rows_of_the_shown_models_and_no_others(cache: Path, tmp_path: Path) -> None:
    """Texts of three models, 700 each, so that those of one are skipped; compared with the words themselves."""
    words = {
        name: [f"{'common' if n % at else 'rare'} {name} {n}" for n in range(700)]
        for at, name in enumerate(("one", "three", "two"), start=2)
    }
    for name, texts in words.items():
        rows = [text("words", n, said, True, doc={"question": f"q{n // 100}"}) for n, said in enumerate(texts)]
        write_model(tmp_path, name, {"words": rows})
    index = index_of(tmp_path)
    for models in (("one",), ("two",), ("one", "two"), ("one", "three", "two")):
        for word in ("common", "rare", "two", "699", "q3"):
            mask = index.search(word, models)
            expected = [
                n
                for n in range(700)
                if word == f"q{n // 100}" or any(word in words[name][n].split() for name in models)
            ]
            assert np.flatnonzero(mask).tolist() == expected


def test_an_address_holds_the_whole_filter(pages: Pages) -> None:
    wanted = Filter(models=("code", "base"), task="words", outcome="lost", words='a "b c" &=%', page=3)
    assert filter_of(pages.index, parse_qsl(wanted.query(page=3))) == wanted
    assert filter_of(pages.index, []).models == pages.index.models
    assert wanted.query(outcome="").endswith("%3D%25"), "another filter starts at its first page"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ([("model", "bas")], "no model bas; there are .*Did you mean base"),
        ([("task", "word")], "Did you mean words"),
        ([("outcome", "won")], "no outcome won"),
        ([("page", "0")], "page 0: give a number from 1"),
        ([("page", "²")], "give a number from 1"),
        ([("page", "9" * 40)], "give a number from 1"),
    ],
)
def test_what_does_not_exist_is_named(pages: Pages, parameters: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        filter_of(pages.index, parameters)


def test_an_outcome_of_two_models_is_dropped_for_one(pages: Pages) -> None:
    assert filter_of(pages.index, [("model", "base"), ("outcome", "gained")]).outcome == ""


def test_values_between_0_and_1_and_those_of_other_scales_are_neither_right_nor_wrong() -> None:
    values = np.array([0.0, 1.0, 0.5, np.nan])
    assert codes_of(values, higher_is_better=True).tolist() == [WRONG, RIGHT, BETWEEN, UNSCORED]
    assert codes_of(values, higher_is_better=False).tolist() == [BETWEEN, BETWEEN, BETWEEN, UNSCORED]
    assert codes_of(np.array([0.0, -3.5]), higher_is_better=True).tolist() == [BETWEEN, BETWEEN]


def test_runs_with_other_items_and_other_orders_are_paired_by_document(cache: Path, tmp_path: Path) -> None:
    rows = [text("words", n, f"words {n}", n % 2 == 0) for n in range(6)]
    copy = text("words", 2, "the second copy", False)
    write_model(tmp_path, "first", {"words": [*rows, copy]})
    write_model(tmp_path, "second", {"words": [rows[5], copy, rows[2] | {"acc": 1.0}, text("words", 9, "new", True)]})
    index = index_of(tmp_path)
    found = {
        one: matches(index, Filter(models=("first", "second"), outcome=one)).numbers.tolist()
        for one in ("", "right", "flipped")
    }
    names = {one: [(i.doc_id, i.copy) for i in index.items(numbers)] for one, numbers in found.items()}
    assert len(names[""]) == 8
    assert names["right"] == []
    assert names["flipped"] == [(2, 0), (2, 1)], "the first copy is paired with the first, the second with the second"
    task = index.task("words")
    assert task is not None
    item = index.find(task, f"{digest_of('words', 2)[:16]}.1")
    assert item is not None
    assert item.copy == 1
    assert index.find(task, digest_of("colours", 2)[:16]) is None
