"""Intervals of few items end at the possible range of their metric, in every table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from harness.records import ModelRecords
from harness.reports.analysis.all_pairs import comparison_matrix
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.documents.leaderboard import task_values
from tests.reports.models_for_tests import model

BITS = "bits_per_byte,none"
SKEWED = [0.2, 0.25, 0.3, 4.0]


def _in_bits(name: str, values: Sequence[float]) -> ModelRecords:
    one = model(name, {"logic/x": np.array(values)}, metric=BITS, higher_is_better=False)
    run = one.tasks["x"]
    items = replace(run.items, values={"bits_per_byte": np.array(values)})
    return replace(one, tasks={"x": replace(run, items=items, metrics={BITS: float(np.mean(values))})})


def test_values_in_bits_per_byte_have_no_negative_interval() -> None:
    one = _in_bits("a", SKEWED)
    (row,) = task_values([one], IntervalCache()).rows
    low, high = row.cells["interval"]
    assert low == 0.0
    assert 4.0 < high < 15.0


def test_means_of_several_runs_in_bits_per_byte_have_no_negative_interval() -> None:
    arms = [
        Arm(name=name, models=tuple(_in_bits(f"{name}{seed}", [one + 0.1 * seed for one in SKEWED]) for seed in (0, 1)))
        for name in "ab"
    ]
    matrix = comparison_matrix(compare(arms, any_scale=True), None, IntervalCache(), force=False)
    lows = [matrix.cells[key].low for key in matrix.cells]
    assert len(lows) == 4  # two arms on the task and overall
    assert lows == [0.0] * 4


def test_a_difference_of_shares_ends_at_minus_one_and_one() -> None:
    a, b = model("a", {"logic/x": np.array([0.1, 0.0, 0.2])}), model("b", {"logic/x": np.array([0.6, 0.9, 0.3])})
    (row,) = compare([Arm(name="a", models=(a,)), Arm(name="b", models=(b,))]).differences
    assert row.interval is not None
    half = 4.3027 * row.standard_error
    assert row.difference + half > 1.0
    assert row.interval == (pytest.approx(row.difference - half, rel=1e-3), 1.0)
