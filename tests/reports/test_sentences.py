"""Sentences of a comparison: which come first, and what they say of differences too small to be found."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest

from harness.reports.analysis.differences import TaskSlope
from harness.reports.analysis.dose import verdict
from harness.reports.documents.comparison import low_power
from harness.reports.documents.factorial import power_of_effects
from tests.reports.conftest import Command
from tests.reports.study_records import RunTask, write_study_run


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


def test_a_page_of_several_arms_begins_with_at_most_three_of_them_and_those_that_differ_first(
    command: Command, tmp_path: Path
) -> None:
    same = np.tile([1.0, 0.0], 50)
    for name in ("base", "a", "b", "c", "better"):
        values = np.ones(100) if name == "better" else same
        write_study_run(tmp_path, name, {"logic": RunTask(values=values)})
    folders = [tmp_path / name for name in ("base", "a", "b", "c", "better")]
    page = command("compare", *folders, "--format", "html")[1]
    headlines = re.findall(r'<li class="lead">(.*?)</li>', page)
    assert [one.partition(" against base: ")[0] for one in headlines] == ["better", "a", "b"]
    assert [page.count(f"{name} against base: ") for name in ("better", "a", "b", "c")] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("direction", "words"),
    [
        (("bits_per_byte", False), "+0.500, worse"),
        (("gold_logprob", True), "+0.500, better"),
        (("acc", True), "+0.500"),
    ],
)
def test_the_sentence_on_doses_judges_the_slope_of_a_loss(direction: tuple[str, bool], words: str) -> None:
    slope = TaskSlope(
        task="a", domain="logic", items=50, runs=6, slope=0.5, standard_error=0.01, item_error=0.01,
        interval=(0.4, 0.6), p=0.01, p_corrected=0.01,
    )  # fmt: skip
    assert f"on 1 of 1 tasks: a ({words})," in verdict([slope], 6, {"a": direction})
