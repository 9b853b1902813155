"""What a comparison says in words about differences that are too small to be found."""

from __future__ import annotations

import math

import pytest

from harness.reports.documents.comparison import undetectable


@pytest.mark.parametrize(
    ("least", "most", "says"),
    [
        (0.1, 0.1, "A true difference below 0.100"),
        (0.1, 0.2, "A true difference below 0.100 to 0.200, by task,"),
        (0.1, math.inf, "A true difference below 0.100, and any on some tasks,"),
        (math.inf, math.inf, "With so few items any true difference"),
    ],
)
def test_no_difference_is_told_to_be_infinite(least: float, most: float, says: str) -> None:
    assert undetectable(least, most) == says
