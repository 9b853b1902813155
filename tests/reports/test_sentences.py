"""Sentences of a comparison about differences that are too small to be found."""

from __future__ import annotations

import math

import pytest

from harness.reports.documents.comparison import low_power


@pytest.mark.parametrize(
    ("least", "most", "sentence"),
    [
        (0.1, 0.1, "Power is below 80% for true differences under 0.100."),
        (0.1, 0.2, "Power is below 80% for true differences under 0.100 to 0.200, depending on the task."),
        (0.1, math.inf, "Power is below 80% for true differences under 0.100, and on some tasks for any."),
        (math.inf, math.inf, "With so few items, power is below 80% for any true difference."),
    ],
)
def test_no_sentence_names_an_infinite_difference(least: float, most: float, sentence: str) -> None:
    assert low_power(least, most) == sentence
