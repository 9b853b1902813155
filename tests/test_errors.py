"""One line of an error's message, for messages that must fit on one line."""

from __future__ import annotations

import pytest

from harness.errors import InputError, first_line, last_line


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
