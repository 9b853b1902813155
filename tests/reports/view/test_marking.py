"""Marks in texts: what differs, and where an answer was read."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from harness.reports.view.marking import MOST_WORDS, differences, marked


def words_of(text: str, spans: list[tuple[int, int]]) -> list[str]:
    return [text[start:end] for start, end in spans]


def test_the_words_that_differ_are_marked_in_both_texts() -> None:
    first, second = "the light energy of plants", "the dark energy of old plants"
    spans = differences(first, second)
    assert spans is not None
    assert words_of(first, spans[0]) == ["light"]
    assert words_of(second, spans[1]) == ["dark", "old"]


def test_equal_texts_have_no_marks_and_an_empty_text_is_all_different() -> None:
    assert differences("same words", "same words") == ([], [])
    assert differences("", "two words") == ([], [(0, 9)])


def test_a_text_that_would_take_too_long_to_compare_has_none() -> None:
    assert differences("short", "word " * (MOST_WORDS + 1)) is None


def test_marks_may_overlap() -> None:
    parts = marked("so (B) it is", {"changed": [(0, 6)], "read": [(3, 6)]})
    assert [(part.text, part.marks) for part in parts] == [
        ("so ", "changed"),
        ("(B)", "changed read"),
        (" it is", ""),
    ]


@given(st.text(max_size=60), st.lists(st.tuples(st.integers(-5, 80), st.integers(-5, 80)), max_size=4))
def test_the_parts_are_the_whole_text(text: str, spans: list[tuple[int, int]]) -> None:
    assert "".join(part.text for part in marked(text, {"changed": spans})) == text


@given(st.text(alphabet="ab c.", max_size=40), st.text(alphabet="ab c.", max_size=40))
def test_without_its_marked_words_each_text_is_the_same(first: str, second: str) -> None:
    spans = differences(first, second)
    assert spans is not None
    rests = [
        "".join(part.text for part in marked(text, {"x": own}) if not part.marks)
        for text, own in zip((first, second), spans, strict=True)
    ]
    assert "".join(rests[0].split()) == "".join(rests[1].split()), "apart from spaces"
