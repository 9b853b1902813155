"""Compares two arms of several training runs over one or more tasks; separates the error of items from that of runs.

One checkpoint answers all tasks, so a good run is good on many of them. Tasks are therefore averaged within each run
first; only then are runs compared::

    task = TaskScores(a=scores_of_a, b=scores_of_b, weight=0.5)  # shapes (runs, items)
    compare_over_tasks([task, other_task])

Runs that were tuned from the same pre-training run share its luck. Pre-training runs are whole plots, tuning runs are
sub-plots (split-plot designs: Cochran and Cox 1957, Experimental Designs, ch. 7): the runs of one plot are averaged,
and plots are the units. If both arms have runs from the same plots, their difference is taken within each plot. If only
some plots are shared, the arms are two cells of a factorial study (`factorial`), in which the luck of those cancels.
`paired` compares two single runs, `seeds` has the variance components of one arm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.stats.clustered import FloatArray, as_values, group_by_cluster
from harness.stats.clustered import two_sided_quantile as two_sided
from harness.stats.factorial import BINOMIAL, ItemTable, Runs, estimate_contrast, two_sided_p
from harness.stats.freedom import contrast_df, runs_variance
from harness.stats.item_sets import Units, covariance_of_means, freedom_of_sum, unit_sizes, weighted_variance
from harness.stats.limits import Limits, possible_effect, total_limits, within
from harness.stats.power import minimum_detectable_effect
from harness.stats.rounding import without_rounding
from harness.stats.ties import FOUND, few_differing, widened_by_ties
from harness.stats.wild import TestedMean, needs_wild_bootstrap, widened

Plots = tuple[Sequence[str], Sequence[str]]
"""For each run of A and of B, the name of the pre-training run that it comes from."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TaskScores:
    """The values of one task for all runs of both arms, on the same items.

    Attributes:
        a: Values of arm A, shape (runs of A, items).
        b: Values of arm B, shape (runs of B, items).
        weight: Weight of the task in the sum; 1 for a single task.
        units: Independent unit of each item (`item_sets`); None if each item is its own.
        item_set: Name of its item set; tasks of one set share their units.
        span: Smallest and largest value that a run can have on an item; None if they are not limited.
    """

    a: FloatArray
    b: FloatArray
    weight: float = 1.0
    units: Units = None
    item_set: str = ""
    span: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RunDifference:
    """Arm B minus arm A.

    Attributes:
        difference: Weighted sum over tasks of the mean of B minus the mean of A.
        standard_error: sqrt(`item_error`^2 + `seed_error`^2); 0 if no item and no run differs from another. Only if
            values are limited are there then an interval, a p and a detectable difference; otherwise they are NaN.
        item_error: From the choice of items.
        seed_error: From the choice of runs, or of pre-training runs where they are the units.
        degrees_of_freedom: Of `standard_error`; see `freedom.contrast_df`.
        low: Lower end of the interval, Student's t, or wider in few clusters; never below the smallest possible
            difference.
        high: Upper end.
        p: Two-sided, from the same test; at most 1 - level exactly when the tested difference, 0 if nothing else is
            said, is outside the interval.
        minimum_detectable_effect: At 80% power and significance level 1 - level, uncorrected; infinite if no possible
            difference is that large.
        units: Number of units of A and of B: runs, or pre-training runs.
        paired: Whether the arms share pre-training runs, whose luck cancels.
    """

    difference: float
    standard_error: float
    item_error: float
    seed_error: float
    degrees_of_freedom: float
    low: float
    high: float
    p: float
    minimum_detectable_effect: float
    units: tuple[int, int]
    paired: bool


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Part:
    """Units whose scatter shows the noise of runs: those of one arm, or both arms' where they are paired.

    Attributes:
        of_a: Weights of the runs of A in each unit, shape (units, runs of A); zeros if A has no part in it.
        of_b: The same for B.
    """

    of_a: FloatArray
    of_b: FloatArray

    def rows(self, task: TaskScores) -> FloatArray:
        """Values of each unit, shape (units, items)."""
        return np.asarray(self.of_b @ task.b - self.of_a @ task.a, dtype=np.float64)


def compare_over_tasks(
    tasks: Sequence[TaskScores], plots: Plots | None = None, *, level: float = 0.95, null: float = 0.0
) -> RunDifference:
    """Compare two arms over several tasks that the same runs answered.

    Variance = items + sum over parts of component / units. The item part is that of the weighted differences of arm
    means. For each part, the scatter of the units' own weighted sums, minus what items explain of it (method of
    moments, cut at 0), is the component. If the arms have different numbers of units, the component is also computed
    with both arms pooled, and the larger variance with the smaller degrees of freedom counts: two units tell almost
    nothing about their own scatter. The degrees of freedom are those of `freedom.contrast_df`. One task whose items are
    in fewer than ten clusters: interval and p are the more cautious of Student's t and the wild cluster bootstrap. If
    fewer than ten items differ, and values are limited, the exact binomial bound of `ties` must reject too.

    Arms that share only some plots are compared by `factorial.estimate_contrast`. The luck of a shared plot is in both
    means, so it counts only by the difference of its two weights.

    Args:
        tasks: At least one.
        plots: For each run of A and of B, its pre-training run; None if each has its own.
        level: Coverage of the interval.
        null: The difference that p tests.

    Raises:
        ValueError: No tasks, fewer than two units in an arm, fewer than two items or clusters, different numbers of
            runs or items, NaN, or an impossible level.
    """
    parts = _parts(tasks, plots)
    if plots and (set(plots[0]) & set(plots[1])) and len(parts) == 2:
        return _partly_shared(tasks, plots, level, null)
    weights = np.array([task.weight for task in tasks])
    units, sets = [task.units for task in tasks], [task.item_set or f"\0{k}" for k, task in enumerate(tasks)]
    rows = [[part.rows(task) for task in tasks] for part in parts]
    means = [np.sum([part[k].mean(axis=0) for part in rows], axis=0) for k in range(len(tasks))]
    covariance = covariance_of_means(means, units, sets)
    items = weighted_variance(covariance, weights)
    if math.isnan(items):
        raise ValueError("one cluster or item; item variance needs at least two.")
    sizes = [unit_sizes(mean.size, unit) for mean, unit in zip(means, units, strict=True)]
    item_df = freedom_of_sum(covariance, weights, sizes, sets)
    scatters = [_scatter(part, weights, units, sets) for part in rows]
    seeds, df = _seed_variance(items, item_df, scatters)
    difference = float(sum(weight * float(mean.mean()) for weight, mean in zip(weights, means, strict=True)))
    numbers = (difference, math.sqrt(items), math.sqrt(seeds))
    difference, item_error, seed_error = without_rounding(numbers, _scale(tasks))
    error = math.hypot(item_error, seed_error)
    half = two_sided(level, df) * error
    tested = TestedMean(low=math.nan, high=math.nan, p=math.nan)
    grouped = [group_by_cluster(mean * one, own) for mean, one, own in zip(means, weights, units, strict=True)]
    if error > 0.0:
        p = two_sided_p(difference - null, error, df)
        tested = TestedMean(low=difference - half, high=difference + half, p=p)
        if len(tasks) == 1 and needs_wild_bootstrap(grouped[0]):
            tested = widened(tested, grouped[0], seed_error**2, level, null)
    limits = [_limits(task) for task in tasks]
    ties = few_differing(grouped, limits, sets)
    cautious = tested if ties is None else widened_by_ties(tested, ties, difference, level, null)
    found = minimum_detectable_effect(error, df, alpha=1.0 - level)
    reach = max(cautious.high - difference, difference - cautious.low)
    detectable = _detectable(found, half, reach, bounded=ties is not None and cautious != tested)
    tested = within(cautious, difference, total_limits(limits))
    return RunDifference(
        difference=difference,
        standard_error=error,
        item_error=item_error,
        seed_error=seed_error,
        degrees_of_freedom=df,
        low=tested.low,
        high=tested.high,
        p=tested.p,
        minimum_detectable_effect=possible_effect(detectable, total_limits(limits)),
        units=(parts[0].of_a.shape[0], parts[-1].of_b.shape[0]),
        paired=len(parts) == 1,
    )


def _partly_shared(tasks: Sequence[TaskScores], plots: Plots, level: float, null: float) -> RunDifference:
    """Compare two arms that share some plots: the plots' means are the runs of two cells."""
    names = [sorted(set(side)) for side in plots]
    of_a, of_b = (_averages(side, order) for side, order in zip(plots, names, strict=True))
    tables = [
        ItemTable(
            values=np.concatenate([of_a @ task.a, of_b @ task.b]),
            clusters=task.units,
            weight=task.weight,
            item_set=task.item_set,
            span=task.span,
        )
        for task in tasks
    ]
    runs = Runs(cells=["a"] * len(names[0]) + ["b"] * len(names[1]), plots=[*names[0], *names[1]])
    test = estimate_contrast(tables, runs, {"a": -1.0, "b": 1.0}, level=level, null=null)
    half = two_sided(level, test.df) * test.se
    found = minimum_detectable_effect(test.se, test.df, alpha=1.0 - level)
    detectable = _detectable(found, half, test.reach, bounded=test.method == BINOMIAL)
    return RunDifference(
        difference=test.estimate,
        standard_error=test.se,
        item_error=test.se_items,
        seed_error=test.se_seeds,
        degrees_of_freedom=test.df,
        low=test.low,
        high=test.high,
        p=test.p,
        minimum_detectable_effect=possible_effect(detectable, test.limits),
        units=(len(names[0]), len(names[1])),
        paired=True,
    )


def _detectable(found: float, half: float, reach: float, *, bounded: bool) -> float:
    """Return the effect found with 80% power, from that of the standard error, as `ContrastEstimate.mde` does."""
    return max(found, FOUND * reach) if bounded else found + reach - half


def _scale(tasks: Sequence[TaskScores]) -> float:
    """Return the sum of the sizes of what the difference is a sum of: each run's weighted mean, by arm."""
    sides = (np.abs(side.mean(axis=1)).mean() * task.weight for task in tasks for side in (task.a, task.b))
    return float(sum(sides))


def _limits(task: TaskScores) -> Limits | None:
    """Return the smallest and the largest weighted difference that an item could have."""
    if task.span is None:
        return None
    reach = (task.span[1] - task.span[0]) * task.weight
    return -reach, reach


def _parts(tasks: Sequence[TaskScores], plots: Plots | None) -> list[_Part]:
    if not tasks:
        raise ValueError("no tasks; give at least one.")
    shapes = {(task.a.shape[0], task.b.shape[0]) for task in tasks}
    if len(shapes) > 1:
        raise ValueError(f"the tasks have {sorted(shapes)} runs; give the runs that answered all tasks.")
    ((runs_a, runs_b),) = shapes
    for task in tasks:
        if task.a.shape[1] != task.b.shape[1]:
            raise ValueError(
                f"a has {task.a.shape[1]} items and b {task.b.shape[1]}; give the items that all checkpoints answered."
            )
        as_values(np.concatenate([task.a.ravel(), task.b.ravel()]), "values")
    names_a, names_b = plots or ([f"a{run}" for run in range(runs_a)], [f"b{run}" for run in range(runs_b)])
    if (len(names_a), len(names_b)) != (runs_a, runs_b):
        raise ValueError(f"plots for {len(names_a)} and {len(names_b)} runs, but {runs_a} and {runs_b} runs.")
    if set(names_a) == set(names_b):
        order = sorted(set(names_a))
        parts = [_Part(of_a=_averages(names_a, order), of_b=_averages(names_b, order))]
    else:
        order_a, order_b = sorted(set(names_a)), sorted(set(names_b))
        parts = [
            _Part(of_a=_averages(names_a, order_a), of_b=np.zeros((len(order_a), runs_b))),
            _Part(of_a=np.zeros((len(order_b), runs_a)), of_b=_averages(names_b, order_b)),
        ]
    fewest = min(part.of_a.shape[0] for part in parts)
    if fewest < 2:
        what = "pre-training run" if plots else "run"
        raise ValueError(f"{fewest} {what} in an arm; noise from runs needs at least two.")
    return parts


def _averages(names: Sequence[str], order: Sequence[str]) -> FloatArray:
    """Weights that average the runs of each plot, shape (plots, runs)."""
    members = np.array([[float(name == plot) for name in names] for plot in order])
    return np.asarray(members / members.sum(axis=1, keepdims=True), dtype=np.float64)


def _scatter(
    rows: Sequence[FloatArray], weights: FloatArray, units: Sequence[Units], sets: Sequence[str]
) -> tuple[int, float, float]:
    """Number of units, variance of their weighted sums, and the part of it that items explain."""
    count = rows[0].shape[0]
    sums = np.sum([weight * row.mean(axis=1) for weight, row in zip(weights, rows, strict=True)], axis=0)
    centred = [row - row.mean(axis=0) for row in rows]
    explained = [
        weighted_variance(covariance_of_means([row[unit] for row in centred], units, sets), weights)
        for unit in range(count)
    ]
    return count, float(sums.var(ddof=1)), float(np.mean(explained)) * count / (count - 1)


def _seed_variance(items: float, item_df: float, parts: Sequence[tuple[int, float, float]]) -> tuple[float, float]:
    """Variance from runs, and the degrees of freedom of the sum with `items`.

    If the arms have different numbers of units, the variance with both arms pooled counts too; see
    `compare_over_tasks`.
    """
    separate = [(scatter / count, explained / count, count - 1.0) for count, scatter, explained in parts]
    seeds, df = runs_variance(separate), float(contrast_df(items, item_df, separate))
    if len({count for count, _, _ in parts}) == 1:
        return seeds, df
    freedom = sum(count - 1.0 for count, _, _ in parts)
    share = sum(1.0 / count for count, _, _ in parts)
    scatter = sum((count - 1) * one for count, one, _ in parts) / freedom
    explained = sum((count - 1) * one for count, _, one in parts) / freedom
    pooled = [(scatter * share, explained * share, freedom)]
    return max(seeds, runs_variance(pooled)), min(df, float(contrast_df(items, item_df, pooled)))
