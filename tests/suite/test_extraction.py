"""Which final answer is read from a text, and from which words: tables of endings, and rates on the labelled ones."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import answers
from harness.suite.extraction import (
    RULES,
    UNPARSED_RESPONSE,
    Extracted,
    Rule,
    extract_letter,
    extract_number,
    response_value,
)
from harness.suite.extraction.letter_rules import JUDGED, REJECTED, STATED, Cue
from harness.suite.extraction.number_forms import value_of
from harness.suite.extraction.options import letters_of
from harness.suite.extraction.text import MARKUP
from harness.suite.extraction.text import read as read_text

from .endings import Case, cases
from .letter_endings import LETTERS
from .number_endings import NUMBERS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(("text", "letter"), LETTERS)
def test_the_letter_that_the_text_settles_on_is_read(text: str, letter: str | None) -> None:
    assert _value(extract_letter(text, "ABCD")) == letter


@pytest.mark.parametrize(("text", "number"), NUMBERS)
def test_the_number_that_the_text_settles_on_is_read(text: str, number: str | None) -> None:
    assert _value(extract_number(text)) == number


# The goal for endings that were not looked at is 0.99 and 0.93; they are read with 0.963 and 0.893.
GOAL = pytest.mark.xfail(strict=True, reason="held-out endings are read with precision 0.963 and recall 0.893")


@pytest.mark.parametrize(
    ("name", "precision", "recall"),
    [("develop", 1.0, 0.98), ("held_out", 0.96, 0.89), pytest.param("held_out", 0.99, 0.93, marks=GOAL)],
)
def test_the_labelled_endings_are_read(name: str, precision: float, recall: float) -> None:
    if not Path(__file__).with_name("endings").joinpath(f"{name}.jsonl").exists():
        pytest.skip(f"{name}.jsonl is not in this copy")
    labelled = cases(name)
    reads = [_read(case) for case in labelled]
    n_right = sum(value is not None and value == case.answer for value, case in zip(reads, labelled, strict=True))
    rates = (
        n_right / sum(value is not None for value in reads),
        n_right / sum(case.answer is not None for case in labelled),
    )
    is_reached = rates[0] >= precision and rates[1] >= recall
    assert is_reached, f"{name}: precision {rates[0]:.3f}, recall {rates[1]:.3f}"


@pytest.mark.parametrize("text", [text for text, answer in (*LETTERS, *NUMBERS) if answer])
def test_the_span_lies_in_the_text_and_holds_the_answer(text: str) -> None:
    read = extract_letter(text, "ABCD") or extract_number(text)
    assert read is not None
    start, end = read.span
    assert 0 <= start < end <= len(text)
    again = extract_letter(text[start:end], "ABCD") if read.value.isalpha() else extract_number(text[start:end])
    assert again is None or again.value == read.value


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.name} {rule.value}")
def test_a_rule_reads_its_examples(rule: Rule) -> None:
    for text in (rule.english, rule.chinese):
        read = extract_letter(text, "ABCD") if rule.value.isalpha() else extract_number(text)
        assert read is not None
        assert (read.value, read.rule) == (rule.value, rule.name), text


@pytest.mark.parametrize("cue", [*STATED, *JUDGED, *REJECTED], ids=lambda cue: cue.example)
def test_a_cue_matches_its_example(cue: Cue) -> None:
    match = cue.pattern.search(read_text(cue.example, MARKUP).text)
    assert match is not None
    assert letters_of(match["group"]) == {"B"}


def test_the_guide_lists_the_rules_as_the_code_does() -> None:
    guide = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
    section = guide.partition("### How a final answer is read\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    assert rows == [_row(rule) for rule in RULES]


def test_the_filters_record_value_span_and_rule() -> None:
    texts = ["It floats. The answer is (B).", "I cannot tell."]
    read, unread = answers.letter([texts], [{"letters": ["A", "B"]}])[0]
    assert json.loads(read) == {"value": "B", "span": [15, 28], "rule": "answer"}
    assert unread == UNPARSED_RESPONSE
    assert json.loads(answers.number([["#### 1,080"]], [{}])[0][0]) == {
        "value": "1080",
        "span": [0, 10],
        "rule": "marker",
    }
    assert [response_value(response) for response in (read, unread, " B ")] == ["B", None, "B"]


def test_numbers_agree_by_value_and_keep_all_digits() -> None:
    long = "1,234,567,890,123,456,789,012,345,678,901"
    for text, value in (
        ("The answer is 0.5.\n#### 1/2", "1/2"),
        ("The answer is 1/2.\nSo the answer is 2/4.", "2/4"),
        (f"#### {long}", long.replace(",", "")),
    ):
        read = extract_number(text)
        assert read is not None, text
        assert read.value == value
    assert [value_of(text) for text in ("+5", "1 080", "5 6")] == [5, 1080, None]


@given(st.text(alphabet="ABCDabIX0123456789 .,:;()[]{}*$#%/\\=-\n答案是选不对所以，。？“isthewern'or"))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for read in (extract_letter(text, "ABCD"), extract_number(text)):
        assert read is None or 0 <= read.span[0] < read.span[1] <= len(text)


@pytest.mark.parametrize("start", ["", "The answer is", "答案", "so it is", "####"])
@pytest.mark.parametrize(
    "words",
    [
        "B is wrong. ",
        "therefore it is ",
        "\\boxed{",
        " ",
        "\n\n",
        "\n \t",
        "(",
        "=",
        "- ",
        "so ",
        "A, ",
        "1",
        "1 ",
        "= 1 ",
        "应该",
        "选",
        "option B, ",
        "so that would be B. ",
        "x = 2 or ",
        "12 boxes of 3 ",
        "3 + 4 = 7. ",
        "的是",
        "<<1=1>>",
        ", then, ",
    ],
)
def test_a_loop_is_read_quickly(start: str, words: str) -> None:
    text = start + words * (12_000 // len(words)) + "z"  # patterns whose time grows with the square take 5 s and more
    assert _seconds(lambda: extract_letter(text, "ABCD")) < 3
    assert _seconds(lambda: extract_number(text)) < 3


def _seconds(read: Callable[[], Extracted | None]) -> float:
    start = time.process_time()
    read()
    return time.process_time() - start


def _row(rule: Rule) -> str:
    cells = [f"`{rule.name}`", rule.reads, *(_code(text) for text in (rule.english, rule.chinese)), rule.value]
    return f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    return "`" + text.replace("\n", "⏎") + "`"


def _read(case: Case) -> str | None:
    return _value(extract_letter(case.text, case.letters) if case.kind == "letter" else extract_number(case.text))


def _value(read: Extracted | None) -> str | None:
    return None if read is None else read.value
