"""Power of a factorial training study before it is trained, from variance components.

    task = PlannedTask(items=1000, clusters=200)            # default variances, on the scale of accuracy
    plan_contrast("first", [task], seeds=3).mde             # smallest effect found with 80% power
    plan_contrast("first", [task], seeds=3).power(0.03)     # power for a true effect of 3 points

`estimate_components` measures the components in an existing study; `factorial` analyses a study.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize, special
from scipy.stats import qmc

from harness.stats.clustered import Clusters, FloatArray, satterthwaite
from harness.stats.factorial import ItemTable, row_variances
from harness.stats.freedom import contrast_df
from harness.stats.power import POWER
from harness.stats.shapes import Components, Shape, shapes_of

MOST_SEEDS, MOST_CLUSTERS = 100, 1_000_000
ROUNDING = 1e-12
"""A variance below this share of the mean square of the values is rounding noise."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedTask:
    """The size of one task, and what is expected of it.

    Attributes:
        items: Number of items.
        clusters: Number of independent clusters of items, at most `items`.
        correlation: Correlation of items within a cluster.
        components: Variances on the scale of the task's metric.
        weight: Weight of the task; 1 by itself, 1 / (tasks x (1 - chance)) in the overall value.
        items_from: Name of its items, the same for variants of them; empty for items of its own.
    """

    items: int
    clusters: int
    correlation: float = 0.0
    components: Components = field(default_factory=Components)
    weight: float = 1.0
    items_from: str = ""

    @property
    def effective_items(self) -> float:
        """Items divided by Kish's design effect 1 + (size - 1) correlation, for clusters of equal size."""
        return self.items / (1.0 + (self.items / self.clusters - 1.0) * self.correlation)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class PlannedContrast:
    """The error that a contrast will have.

    Attributes:
        se: Standard error.
        se_items: Its part from items.
        se_seeds: Its part from training runs.
        df: Expected degrees of freedom (Satterthwaite).
        thresholds: Smallest significant estimates in simulated studies: the quantile of t times the estimated error.
    """

    se: float
    se_items: float
    se_seeds: float
    df: float
    thresholds: FloatArray

    def power(self, effect: float) -> float:
        """Return the probability that a true effect is found.

        If the error were estimated with fixed degrees of freedom, this would be the noncentral t distribution
        (`noncentral.power_of`). Here error and degrees of freedom vary together from study to study, and the normal
        distribution of the estimate is averaged over them. With three seeds that matters: simulated power at the MDE of
        the noncentral t with expected degrees of freedom is 70 to 75%, not 80%.
        """
        reached = special.ndtr((effect - self.thresholds) / self.se) + special.ndtr(
            (-effect - self.thresholds) / self.se
        )
        return float(reached.mean())

    @property
    def mde(self) -> float:
        """Smallest true effect found with 80% power."""
        high = 8.0 * self.se
        while self.power(high) < POWER:
            high *= 2.0
        return float(optimize.brentq(lambda effect: self.power(effect) - POWER, 0.0, high, xtol=1e-9))


def plan_contrast(contrast: str | Shape, tasks: Sequence[PlannedTask], seeds: int) -> PlannedContrast:
    """Return the expected error of a contrast.

    Of a 2 x 2, with S seeds (pre-training runs per level, each tuned once at both levels) and n items (effective
    number); `Shape.variances` has the general formula:

        first:        (2 item_first  + item_both + residual / S) / n + (2 plot + run) / S
        second:       (2 item_second + item_both + residual / S) / n + run / S
        interaction:  4 (item_both + residual / S) / n + 4 run / S

    Over several tasks, items are independent, so their variances add. Variants of the same items are not: their
    standard errors add. Runs are not independent either: a lucky run is assumed to be lucky on every task, so their
    standard errors add too. Both choices are conservative.

    Degrees of freedom by Satterthwaite's formula at the expected variances: clusters - 1 for items; for runs,
    each combination of levels between pre-training runs contributes its scatter (the runs' part and its share of the
    residual) with S - 1.

    Args:
        contrast: ``first``, ``second`` or ``interaction`` of a 2 x 2, or any shape.
        tasks: At least one.
        seeds: S, at least 2.

    Raises:
        ValueError: An unknown contrast, or a plan that is too small.
    """
    (shape,) = shapes_of([contrast])
    items, df_items, residual, luck = [], [], 0.0, 0.0
    for variants in by_item_set(tasks):
        error, error_of_noise = 0.0, 0.0
        for task in variants:
            _check(task, seeds)
            systematic, noise, of_runs = shape.variances(task.components, seeds)
            share = task.weight / math.sqrt(task.effective_items)
            error += share * math.sqrt(systematic + noise)
            error_of_noise += share * math.sqrt(noise)
            luck += task.weight * math.sqrt(of_runs)
        items.append(error**2)
        df_items.append(min(task.clusters for task in variants) - 1.0)
        residual += error_of_noise**2
    return _planned(sum(items), luck**2, residual, satterthwaite(items, df_items), (shape, seeds))


def varies(contrast: str | Shape, components: Components) -> bool:
    """Return whether an estimate of the contrast has any error; without it there is nothing to plan."""
    (shape,) = shapes_of([contrast])
    return sum(shape.variances(components, 1)) > 0.0


def by_item_set(tasks: Sequence[PlannedTask]) -> list[list[PlannedTask]]:
    """Group the variants of the same items; a task with items of its own is a group of one."""
    groups: dict[str | int, list[PlannedTask]] = {}
    for number, task in enumerate(tasks):
        groups.setdefault(task.items_from or number, []).append(task)
    return list(groups.values())


def _check(task: PlannedTask, seeds: int) -> None:
    if seeds < 2 or not 2 <= task.clusters <= task.items or not 0.0 <= task.correlation <= 1.0:
        raise ValueError(
            f"{seeds} seeds, {task.items} items in {task.clusters} clusters, correlation {task.correlation}: give at "
            "least 2 seeds and 2 clusters, no more clusters than items, and a correlation from 0 to 1."
        )


def _planned(
    items: float, runs: float, residual: float, df_items: float, planned: tuple[Shape, int]
) -> PlannedContrast:
    shape, seeds = planned
    shares, df_runs = shape.shares, seeds - 1.0
    groups = [(share * (runs + residual), share * residual) for share in shares]
    places = _places(1 + len(shares))
    of_items = items * special.chdtri(df_items, 1.0 - places[0]) / df_items
    of_levels = [
        (scatter * special.chdtri(df_runs, 1.0 - place) / df_runs, np.full(place.shape, explained), df_runs)
        for (scatter, explained), place in zip(groups, places[1:], strict=True)
    ]
    variances = of_items + sum(np.maximum(0.0, scatter - explained) for scatter, explained, _ in of_levels)
    df = contrast_df(of_items, df_items, of_levels)
    expected = contrast_df(items, df_items, [(*group, df_runs) for group in groups])
    return PlannedContrast(
        se=math.sqrt(items + runs),
        se_items=math.sqrt(items),
        se_seeds=math.sqrt(runs),
        df=float(expected),
        thresholds=special.stdtrit(df, 1.0 - shape.alpha / 2.0) * np.sqrt(variances),
    )


@functools.cache
def _places(dimensions: int) -> FloatArray:
    """Evenly spread points of the unit cube, shape (dimensions, studies), for the variances of items and of levels."""
    drawn: FloatArray = qmc.Sobol(dimensions, seed=0).random_base2(11).T
    return np.clip(drawn, 1e-6, 1.0 - 1e-6)


def seeds_needed(contrast: str | Shape, effect: float, tasks: Sequence[PlannedTask]) -> int | None:
    """Return the fewest seeds with which the effect has 80% power at these items; None if 100 are too few.

    Raises:
        ValueError: See `plan_contrast`.
    """
    return _smallest(lambda seeds: plan_contrast(contrast, tasks, seeds).power(effect) >= POWER, 2, MOST_SEEDS)


def clusters_needed(contrast: str | Shape, effect: float, task: PlannedTask, seeds: int) -> int | None:
    """Return the fewest clusters, of the size that the task's have, with which the effect has 80% power.

    None if a million are too few, because training runs scatter more than the effect; then only seeds help.

    Raises:
        ValueError: See `plan_contrast`.
    """
    size = task.items / task.clusters

    def found(clusters: int) -> bool:
        larger = replace(task, items=max(clusters, round(clusters * size)), clusters=clusters)
        return plan_contrast(contrast, [larger], seeds).power(effect) >= POWER

    return _smallest(found, 2, MOST_CLUSTERS)


def _smallest(found: Callable[[int], bool], low: int, high: int) -> int | None:
    """Return the smallest number from `low` to `high` for which `found` is true, which stays true above it."""
    if found(low):
        return low
    step = low
    while not found(min(2 * step, high)):
        if 2 * step >= high:
            return None
        step *= 2
    low, high = step, min(2 * step, high)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if found(middle) else (middle, high)
    return high


def estimate_components(values: npt.ArrayLike, clusters: Clusters | None = None) -> tuple[Components, float]:
    """Return the variance components of a balanced study, by the method of moments, and the correlation in clusters.

    Mean squares of the contrasts of items within each pre-training run are equated to their expectations; negative
    components are cut at 0, and so is rounding noise.

    Args:
        values: Shape (2 pre-training levels, 2 tuning levels, S runs, items), S and items at least 2; run u of both
            tunings comes from pre-training run u of the level.
        clusters: One label per item, or None.

    Raises:
        ValueError: Another shape, or NaN.
    """
    return pooled_components([np.asarray(values, dtype=np.float64)], clusters)


def pooled_components(strata: Sequence[FloatArray], clusters: Clusters | None = None) -> tuple[Components, float]:
    """Return the components of several 2 x 2 on the same items, such as one per model size.

    Mean squares are taken within each of them, and averaged with weights S - 1. So runs of one size are compared with
    runs of that size only, and the effect of size is no luck of runs.

    Args:
        strata: At least one, each as the values of `estimate_components`.
        clusters: One label per item, or None.

    Raises:
        ValueError: See `estimate_components`.
    """
    for y in strata:
        if y.ndim != 4 or y.shape[:2] != (2, 2) or min(y.shape[2:]) < 2 or not np.isfinite(y).all():
            raise ValueError(
                f"values have shape {y.shape}; give 2 x 2 x runs x items, two or more of each, without NaN."
            )
    weights = [y.shape[2] - 1 for y in strata]
    squares = np.average([_mean_squares(y, clusters) for y in strata], axis=0, weights=weights)
    residual, noise, first, second, both, run_scatter, mean_scatter = squares.tolist()
    least = ROUNDING * max(float((y**2).mean()) for y in strata)

    def cut(variance: float) -> float:
        return variance if variance > least else 0.0

    item_both = cut(both / 4.0 - noise)
    run = cut(run_scatter / 2.0)
    components = Components(
        item_first=cut((first - item_both - noise) / 2.0),
        item_second=cut((second - item_both - noise) / 2.0),
        item_both=item_both,
        residual=cut(residual),
        plot=cut(mean_scatter - run / 2.0),
        run=run,
    )
    return components, float(np.average([_correlation(_effect(y), clusters) for y in strata], weights=weights))


def _effect(y: FloatArray) -> FloatArray:
    """Return the effect of the first factor on each item."""
    cells = y.mean(axis=2)
    effect: FloatArray = cells[1].mean(axis=0) - cells[0].mean(axis=0)
    return effect


def _mean_squares(y: FloatArray, clusters: Clusters | None) -> list[float]:
    """Return the mean squares of one 2 x 2.

    These are: the residual; its share in a cell's mean; the variances over items of both effects and of the
    interaction; the scatter of tuning runs and of pre-training runs.
    """
    seeds, items = y.shape[2:]
    centred = y - y.mean(axis=2, keepdims=True)
    within = centred - centred.mean(axis=3, keepdims=True)
    residual = float((within**2).sum()) / (4 * (seeds - 1) * (items - 1))
    cells = y.mean(axis=2)
    second, both = (cells[:, 1] - cells[:, 0]).mean(axis=0), cells[1, 1] - cells[1, 0] - cells[0, 1] + cells[0, 0]
    variances = [float(effect.var(ddof=1)) for effect in (_effect(y), second, both)]
    return [residual, residual / seeds, *variances, *_run_scatter(y, clusters)]


def _run_scatter(y: FloatArray, clusters: Clusters | None) -> tuple[float, float]:
    """Return the scatter between tuning runs of a plot, and between pre-training runs, less what items explain."""
    seeds = y.shape[2]

    def scatter(z: FloatArray) -> float:
        explained = float(row_variances(ItemTable(values=z - z.mean(axis=0), clusters=clusters)).mean())
        return float(z.mean(axis=1).var(ddof=1) - explained * seeds / (seeds - 1))

    of_runs = float(np.mean([scatter(y[p, 1] - y[p, 0]) for p in (0, 1)]))
    return of_runs, float(np.mean([scatter(y[p].mean(axis=0)) for p in (0, 1)]))


def _correlation(values: FloatArray, clusters: Clusters | None) -> float:
    """Return the correlation of items within clusters that explains the clustered variance of their mean; 0 to 1."""
    if clusters is None:
        return 0.0
    n_clusters = len(set(np.asarray(clusters).tolist()))
    size = values.size / n_clusters
    if size <= 1.0 or n_clusters < 2 or not values.any():
        return 0.0
    clustered = float(row_variances(ItemTable(values=values[None], clusters=clusters))[0])
    independent = float(values.var(ddof=1)) / values.size
    correlation = (clustered / independent - 1.0) / (size - 1.0) if independent > 0.0 else 0.0
    return float(min(1.0, max(0.0, correlation)))
