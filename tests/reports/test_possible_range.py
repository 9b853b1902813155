"""Intervals of few items end at the possible range of their metric, in every table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from harness.records import ModelRecords
from harness.reports.analysis.all_pairs import comparison_matrix
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm, TaskDifference
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.value_limits import item_limits
from harness.reports.documents.leaderboard import task_values
from harness.stats.limits import UNLIMITED
from tests.reports.models_for_tests import Floats, model

BITS = "bits_per_byte,none"
SKEWED = [0.2, 0.25, 0.3, 4.0]


def _in_bits(name: str, values: Sequence[float]) -> ModelRecords:
    return _tasks_in_bits(name, {"logic/x": np.array(values)})


def _tasks_in_bits(name: str, values: Mapping[str, Floats]) -> ModelRecords:
    return _with_metric(model(name, values, higher_is_better=False), BITS)


def _with_metric(one: ModelRecords, metric: str) -> ModelRecords:
    """The model with this metric's name, ``name,filter``, in place of ``acc,none``."""
    runs = {}
    for task, run in one.tasks.items():
        items = replace(run.items, values={metric.partition(",")[0]: run.items.values["acc"]})
        runs[task] = replace(run, metric=metric, items=items, metrics={metric: run.metrics["acc,none"]})
    return replace(one, tasks=runs)


def test_values_in_bits_per_byte_have_no_negative_interval() -> None:
    one = _in_bits("a", SKEWED)
    (row,) = task_values([one], IntervalCache()).rows
    low, high = row.cells["interval"]
    assert low == 0.0
    assert 4.0 < high < 15.0


def test_by_bits_per_byte_overall_is_the_mean_over_domains_of_each_model() -> None:
    rng, names = np.random.default_rng(3), ("logic/x", "logic/y", "legal/z")
    values = {side: {name: rng.uniform(0.5, 1.5, 40) for name in names} for side in "ab"}
    models = [_tasks_in_bits(side, own) for side, own in values.items()]
    comparison = compare([Arm(name=one.name, models=(one,)) for one in models], any_scale=True)
    matrix = comparison_matrix(comparison, None, IntervalCache(), force=False)
    for side, own in values.items():
        x, y, z = (own[name] for name in names)
        cell = matrix.cells[side, "overall"]
        assert cell.value == pytest.approx(((x.mean() + y.mean()) / 2 + z.mean()) / 2)
        half = 1.96 * np.sqrt((x.var(ddof=1) + y.var(ddof=1)) / 4 + z.var(ddof=1)) / 2 / np.sqrt(40)
        assert cell.high - cell.low == pytest.approx(2 * half, rel=0.3)
        assert 0.0 < cell.low < cell.value < cell.high
    (pair,) = (one for one in matrix.against_reference if one.task == "overall")
    assert pair.difference == pytest.approx(matrix.cells["b", "overall"].value - matrix.cells["a", "overall"].value)


def test_means_of_several_runs_in_bits_per_byte_have_no_negative_interval() -> None:
    arms = [
        Arm(name=name, models=tuple(_in_bits(f"{name}{seed}", [one + 0.1 * seed for one in SKEWED]) for seed in (0, 1)))
        for name in "ab"
    ]
    matrix = comparison_matrix(compare(arms, any_scale=True), None, IntervalCache(), force=False)
    lows = [matrix.cells[key].low for key in matrix.cells]
    assert len(lows) == 4  # two arms on the task and overall
    assert lows == [0.0] * 4


LOW, HIGH = [0.1, 0.0, 0.2], [0.6, 0.9, 0.3]  # their difference is 0.5, and its interval reaches beyond 1


def _difference(metric: str, *, seeds: int = 1, is_loss: bool = False) -> TaskDifference:
    """Arm b, with the values `HIGH`, against arm a with `LOW`."""
    arms = [
        Arm(
            name=name,
            models=tuple(
                _with_metric(
                    model(f"{name}{seed}", {"logic/x": np.array(values) + 0.05 * seed}, higher_is_better=not is_loss),
                    metric,
                )
                for seed in range(seeds)
            ),
        )
        for name, values in (("a", LOW), ("b", HIGH))
    ]
    (row,) = compare(arms).differences
    assert row.difference == pytest.approx(0.5)
    return row


@pytest.mark.parametrize("metric", ["acc,none", "my_score,none"])
def test_a_difference_of_shares_ends_at_minus_one_and_one(metric: str) -> None:
    row = _difference(metric)
    assert row.interval is not None
    half = 4.3027 * row.standard_error
    assert row.difference + half > 1.0
    low, high = row.interval
    assert high == 1.0
    assert low == pytest.approx(row.difference - half, rel=1e-3)


def test_a_difference_of_percentages_below_one_percent_does_not_end_at_one() -> None:
    """BLEU is from 0 to 100, so a difference of several points is possible although all items have less than one."""
    row = _difference("bleu,none")
    assert row.interval is not None
    half = 4.3027 * row.standard_error
    assert row.interval == pytest.approx((row.difference - half, row.difference + half), rel=1e-3)
    assert row.interval[1] > 1.0


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_difference_of_losses_ends_where_that_of_their_name_does(seeds: int) -> None:
    share, bits, unknown = (
        _difference(name, seeds=seeds, is_loss=True) for name in ("unparsed,none", "bits_per_byte,none", "loss,none")
    )
    assert share.interval is not None
    assert share.interval[1] == 1.0
    assert bits.interval is not None
    assert bits.interval == unknown.interval
    assert bits.interval[1] > 1.0, "bits have no largest value, and a loss of an unknown name need not be a share"


def test_a_detectable_difference_of_a_loss_may_be_above_one_unless_its_name_says_share() -> None:
    detectable = [
        _difference(name, seeds=2, is_loss=True).detectable_corrected for name in ("unparsed,none", "loss,none")
    ]
    assert detectable[0] == math.inf
    assert detectable[1] is not None
    assert 1.0 < detectable[1] < math.inf


def test_a_difference_of_percentages_between_seeds_does_not_end_at_one() -> None:
    shares, percentages = _difference("acc,none", seeds=2), _difference("bleu,none", seeds=2)
    assert shares.interval is not None
    assert percentages.interval is not None
    assert shares.interval[1] == 1.0 < percentages.interval[1]


def test_percentages_are_no_part_of_the_overall_value() -> None:
    """A BLEU of 0.4 is 0.4 of 100, not 0.4 of 1."""
    models = [
        _with_metric(model(name, {"logic/x": np.array(own)}), "bleu,none") for name, own in (("a", LOW), ("b", HIGH))
    ]
    assert compare([Arm(name=one.name, models=(one,)) for one in models]).overall["b"] == ()


@pytest.mark.parametrize(
    ("metric", "values", "limits"),
    [
        ("acc", [0.0, 1.0], (0.0, 1.0)),
        ("pass@10", [0.2, 0.4], (0.0, 1.0)),
        ("f1", [0.0, 55.0], UNLIMITED),  # a task may use the name for a percentage
        ("chrf", [0.2, 0.4], (0.0, 100.0)),
        ("bits_per_byte", [0.2, 0.4], (0.0, math.inf)),
        ("gold_logprob", [0.0, 0.0], (-math.inf, 0.0)),
        ("my_score", [0.2, 1.0], (0.0, 1.0)),
        ("my_score", [0.2, 1.5], UNLIMITED),
    ],
)
def test_the_name_of_a_metric_says_more_than_its_values(
    metric: str, values: list[float], limits: tuple[float, float]
) -> None:
    assert item_limits(f"{metric},none", np.array(values)) == limits
