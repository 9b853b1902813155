"""Sentences of a comparison about differences that are too small to be found."""

from __future__ import annotations

import math

import pytest

from harness.reports.documents.comparison import low_power


@pytest.mark.parametrize(
    ("least", "most", "sentence"),
    [
        (0.1, 0.1, "80% power needs a true difference of 0.100."),
        (0.1, 0.2, "80% power needs a true difference of 0.100 to 0.200, depending on the task."),
        (0.1, math.inf, "80% power needs a true difference of 0.100, and on some tasks no true difference has it."),
        (math.inf, math.inf, "With so few items, no true difference has 80% power."),
    ],
)
def test_no_sentence_names_an_infinite_difference(least: float, most: float, sentence: str) -> None:
    assert low_power(least, most) == sentence
