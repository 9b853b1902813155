"""Sentences of a comparison about differences that are too small to be found."""

from __future__ import annotations

import math

import pytest

from harness.reports.documents.comparison import low_power
from harness.reports.documents.factorial import power_of_effects


@pytest.mark.parametrize(
    ("least", "most", "sentence"),
    [
        (0.1, 0.1, "80% power needs a true difference of 0.100."),
        (0.1, 0.2, "80% power needs a true difference of 0.100 to 0.200, depending on the task."),
        (0.1, math.inf, "80% power needs a true difference of 0.100, and on some tasks no possible difference has it."),
        (math.inf, math.inf, "No possible difference has 80% power."),
    ],
)
def test_no_sentence_names_an_infinite_difference(least: float, most: float, sentence: str) -> None:
    assert low_power(least, most) == sentence


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (0.1, 0.2, "80% power needs a true effect of 0.100, after correction 0.200."),
        (0.1, math.inf, "80% power needs a true effect of 0.100; after correction no possible effect has it."),
        (math.inf, math.inf, "No possible effect has 80% power."),
    ],
)
def test_no_sentence_names_an_impossible_effect(before: float, after: float, sentence: str) -> None:
    assert power_of_effects(before, after) == sentence
