"""What a message quotes of an error: its first line, or all of it as one line."""

from __future__ import annotations

import pytest

from harness.errors import InputError, first_line, last_line, one_line


@pytest.mark.parametrize(
    ("message", "first", "last"),
    [
        ("only", "only", "only"),
        ("\n  first \n\nlast\n \n", "first", "last"),
        ("", "InputError", "InputError"),
        (" \n", "InputError", "InputError"),
    ],
)
def test_one_line_of_a_message_or_the_name_of_its_class(message: str, first: str, last: str) -> None:
    error = InputError(message)
    assert (first_line(error), last_line(error)) == (first, last)


def test_first_line_of_an_error_without_a_message_is_its_class() -> None:
    assert first_line(KeyboardInterrupt()) == "KeyboardInterrupt"


@pytest.mark.parametrize(("max_characters", "line"), [(3, "abc"), (6, "abcdef"), (100, "abcdef"), (None, "abcdef")])
def test_first_line_is_cut_to_the_length_asked_for(max_characters: int | None, line: str) -> None:
    assert first_line(ValueError("\nabcdef\nghi"), max_characters=max_characters) == line


@pytest.mark.parametrize(
    ("message", "max_characters", "line"),
    [("a\n  b\tc", None, "a b c"), ("a\n  b\tc", 3, "a b"), ("", None, "ValueError"), (" \n", 2, "Va")],
)
def test_one_line_joins_all_lines(message: str, max_characters: int | None, line: str) -> None:
    assert one_line(ValueError(message), max_characters=max_characters) == line
