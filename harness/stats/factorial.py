"""Contrasts of a factorial training study: several runs per cell, items and training runs as two sources of error.

A 2 x 2 with two pre-training runs per level, each tuned twice; `cell` names the arm, `plot` the pre-training run::

    run     cell              plot        weight in the main effect of tuning
    NN-0    (text, plain)     pre-text-0  -1/4
    NC-0    (text, code)      pre-text-0  +1/4
    CN-0    (code, plain)     pre-code-0  -1/4      ... and the same for NN-1, NC-1, CN-1, CC-1
    CC-0    (code, code)      pre-code-0  +1/4

    runs = Runs(cells=[("text", "plain"), ...], plots=["pre-text-0", ...])
    contrast = two_by_two(("text", "code"), ("plain", "code"), names=("pretrain", "tune"))["tune"]
    estimate_contrast([ItemTable(values=answers_of_the_runs, clusters=passages)], runs, contrast)

Runs from one pre-training run share its luck, so they form a plot (a whole plot; tuning runs are its sub-plots), and
plots are the independent units. Pure numbers: names of cells and plots are only compared. `families` corrects p-values,
`planning` computes power before training, and docs/statistics.md gives the measured error rates.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from scipy import special

from harness.stats.clustered import (
    Clusters,
    FloatArray,
    cluster_codes,
    degrees_of_freedom,
    group_by_cluster,
    satterthwaite,
)
from harness.stats.clustered import two_sided_quantile as two_sided
from harness.stats.freedom import contrast_df, runs_variance
from harness.stats.item_sets import covariance_of_means, weighted_variance
from harness.stats.limits import UNLIMITED, Limits, possible_effect, total_limits, within
from harness.stats.noncentral import detectable_effect
from harness.stats.power import ALPHA
from harness.stats.rounding import without_rounding
from harness.stats.ties import FOUND, Ties, few_differing, widened_by_ties
from harness.stats.wild import TestedMean, needs_wild_bootstrap, widened

Cell = Hashable
Level = TypeVar("Level", bound=Hashable)
Contrast = Mapping[Any, float]
"""The coefficient of each cell's mean; cells that are not named have 0."""

# An eigenvalue of I - H below this is zero: the direction was fitted exactly and has no residual left.
_FITTED_EXACTLY = 1e-9
_LEVEL = 0.95
STUDENT, WILD, BINOMIAL = "student-t", "wild", "binomial"


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemTable:
    """The values of all runs on the items of one task.

    Attributes:
        values: Shape (runs, items).
        clusters: One label per item, or None.
        weight: Weight of this task in the estimate; 1 for a task by itself.
        span: Smallest and largest value that a run can have on an item, before `weight`; None if they are not limited.
        item_set: Name of its items, for variants of one benchmark. In tables of one set, `clusters` must be the units
            of `item_sets.units_of_tasks`: the same number means the same unit. Empty if no other table has its items.
    """

    values: FloatArray
    clusters: Clusters | None = None
    weight: float = 1.0
    item_set: str = ""
    span: tuple[float, float] | None = None


@dataclass(frozen=True, kw_only=True)
class Runs:
    """Which run belongs where; one entry per row of the tables.

    Attributes:
        cells: The combination of factor levels.
        plots: The pre-training run that it was made from; runs of one plot are correlated.
    """

    cells: Sequence[Cell]
    plots: Sequence[Hashable]


@dataclass(frozen=True, kw_only=True, slots=True)
class ContrastEstimate:
    """A contrast with its errors. One model gives interval, p, standard error and detectable effect.

    Attributes:
        estimate: The weighted sum of cell means.
        se: sqrt(`se_items`^2 + `se_seeds`^2).
        se_items: From the choice of items; it shrinks with more items.
        se_seeds: From the training runs; it shrinks with more runs. NaN if it cannot be estimated; `se` is then
            `se_items`, and interval and p hold for these very runs only.
        df: Degrees of freedom of `se`, at least 1; see `contrast_df`.
        low: Lower end of the interval, cut to `limits`; NaN if `se` is 0 and values are not limited.
        high: Upper end.
        p: Two-sided; NaN if `se` is 0 and values are not limited.
        method: ``student-t``; ``wild`` for one task in fewer than ten clusters; ``binomial`` where few items differ.
            See `estimate_contrast`.
        units: ``plots`` if pre-training runs are the units of the error of runs, ``runs`` if it covers tuning runs only
            because some level has one pre-training run, ``none`` if some cell has a single run.
        reach: From the estimate to the farther end of the interval before the cut.
        limits: The smallest and the largest value that the contrast can have.
    """

    estimate: float
    se: float
    se_items: float
    se_seeds: float
    df: float
    low: float
    high: float
    p: float
    units: str
    method: str = STUDENT
    reach: float = math.nan
    limits: Limits = UNLIMITED

    @property
    def mde(self) -> float:
        """Smallest true effect that this test finds with 80% power, from `se` and `df`; NaN without an interval.

        Where the wild bootstrap widens the interval, the effect is larger by the same amount; where the binomial bound
        does, it is the bound times 1 + z_0.8 / z_0.975. Infinite if the contrast cannot be so large.
        """
        return possible_effect(self._found, self.limits)

    def mde_corrected(self, tests: int) -> float:
        """Smallest true effect found with 80% power at 5% / `tests`, the level of Holm's first step.

        `mde` times the ratio of the effects that Student's t finds at the two levels; where the binomial bound decides,
        of those that a normal test finds. Infinite if the contrast cannot be so large.
        """
        df = math.inf if self.method == BINOMIAL else self.df
        ratio = detectable_effect(1.0, df, alpha=ALPHA / tests) / detectable_effect(1.0, df)
        return possible_effect(self._found * ratio, self.limits)

    @property
    def _found(self) -> float:
        if math.isnan(self.low):
            return math.nan
        found = detectable_effect(self.se, self.df)
        if self.method == STUDENT:
            return found
        if self.method == BINOMIAL:
            return max(found, FOUND * self.reach)
        return found + self.reach - two_sided(_LEVEL, self.df) * self.se


def two_by_two(
    first: tuple[Level, Level], second: tuple[Level, Level], names: tuple[str, str]
) -> dict[str, dict[tuple[Level, Level], float]]:
    """Return the contrasts of a 2 x 2: main effects by factor name, ``interaction``, and the four simple effects.

    In the names of simple effects N is the reference level and C the other; the first letter is the first factor's.

    Args:
        first: Levels of the first factor, reference first.
        second: Levels of the second factor.
        names: Names of the two factors.
    """
    (n1, c1), (n2, c2) = first, second
    nn, nc, cn, cc = (n1, n2), (n1, c2), (c1, n2), (c1, c2)
    return {
        names[0]: {nn: -0.5, nc: -0.5, cn: 0.5, cc: 0.5},
        names[1]: {nn: -0.5, nc: 0.5, cn: -0.5, cc: 0.5},
        "interaction": {nn: 1.0, nc: -1.0, cn: -1.0, cc: 1.0},
        "NC-NN": {nc: 1.0, nn: -1.0},
        "CC-CN": {cc: 1.0, cn: -1.0},
        "CN-NN": {cn: 1.0, nn: -1.0},
        "CC-NC": {cc: 1.0, nc: -1.0},
    }


def estimate_contrast(
    tables: Sequence[ItemTable], runs: Runs, contrast: Contrast, *, level: float = _LEVEL, null: float = 0.0
) -> ContrastEstimate:
    """Estimate a contrast of cell means over one task, or the weighted sum over several tasks.

    Items: d_i is the weighted sum of the runs' values of item i. The variance of its mean is CR2's over clusters (see
    `clustered.estimate_mean`); those of several item sets add, and variants of one set have the covariance of
    `item_sets.covariance_of_means`.

    Runs: residuals are taken about the cell means, and every plot's contribution to the estimate is scaled by
    (I - H)^(-1/2), as in CR2 (Bell and McCaffrey 2002). The squares of these contributions add to the scatter. The part
    that items explain (CR2's variance of the same contributions, item by item) is subtracted, and the rest is the runs'
    variance, cut at 0 for each set of plots that share cells (the plots of one pre-training level). For a balanced
    2 x 2 with S plots per level this is scatter = S^2 of the plots' sums / S, and explained as in the analysis of
    variance. One checkpoint answers all tasks, so scatter is computed from each run's sum over tasks.

    Degrees of freedom: see `contrast_df`.

    One task whose items are in fewer than ten clusters: the degrees of freedom assume independent items, and t rejects
    too often if items of a cluster are alike. So interval and p are the more cautious of Student's t and a wild cluster
    bootstrap of the d_i, to which the runs add their variance (`wild.widened`). A weighted sum over tasks uses
    Student's t alone: it has the clusters of all its tasks, and fewer clusters give fewer degrees of freedom.

    Few differing items: if fewer than ten weighted sums d_i differ from the rest, and values are limited (`span`), the
    exact binomial bound of `ties` must reject too. So equal answers have an interval, a p and a detectable effect.
    Limited values also limit the contrast: its interval ends there, and a larger detectable effect is infinite.

    Args:
        tables: At least one, each with a row for every run.
        runs: Cell and plot of each row.
        contrast: Coefficients by cell.
        level: Coverage of the interval.
        null: The value that p tests.

    Raises:
        ValueError: A cell of the contrast has no run, a table has another number of rows, a task has one cluster, or a
            value is NaN.
    """
    used, weights = run_weights(runs, contrast)
    rows = [_checked(table, len(runs.cells))[used] * table.weight for table in tables]
    sets = _ItemSets(tables, rows)
    by_set = sets.variances([weights[None] @ values for values in rows])[:, 0]
    items = float(by_set.sum())
    df_items = satterthwaite(by_set.tolist(), sets.dfs)
    cells, plots = tuple(runs.cells[i] for i in used), tuple(runs.plots[i] for i in used)
    unit, groups = _error_units(cells, plots, tuple(weights.tolist()))
    means = np.sum([values.mean(axis=1) for values in rows], axis=0)
    of_runs = []
    for group in groups:
        scatter = float(((group.forms @ means) ** 2).sum())
        explained = float(sets.variances([group.forms @ values for values in rows]).sum())
        of_runs.append((scatter, explained, group.df))
    df = float(contrast_df(items, df_items, of_runs))
    errors = (math.sqrt(items), math.sqrt(runs_variance(of_runs)))
    estimate, se_items, se_seeds = without_rounding(
        (float(weights @ means), *errors), float(np.abs(weights) @ np.abs(means))
    )
    seeds = math.nan if unit == "none" else se_seeds
    tested = replace(_with_interval(estimate, (se_items, seeds), df, level), units=unit)
    tested = replace(tested, p=two_sided_p(estimate - null, tested.se, df) if tested.se > 0.0 else math.nan)
    grouped = [group_by_cluster(weights @ own, table.clusters) for own, table in zip(rows, tables, strict=True)]
    if len(tables) == 1 and tested.se > 0.0 and needs_wild_bootstrap(grouped[0]):
        of_seeds = 0.0 if math.isnan(tested.se_seeds) else tested.se_seeds**2
        student = TestedMean(low=tested.low, high=tested.high, p=tested.p)
        cautious = widened(student, grouped[0], of_seeds, level, null)
        tested = replace(tested, low=cautious.low, high=cautious.high, p=cautious.p, method=WILD)
    names = [table.item_set or f"\0{at}" for at, table in enumerate(tables)]
    limits = [_limits(table, weights) for table in tables]
    ties = few_differing(grouped, limits, names)
    if ties is not None:
        tested = _widened_by_ties(tested, ties, level, null)
    return _within_limits(tested, total_limits(limits))


def row_variances(table: ItemTable) -> FloatArray:
    """Return CR2's variance of the mean over items of each row, shape (rows,).

    Raises:
        ValueError: There is only one cluster.
    """
    values = np.asarray(table.values, dtype=np.float64)
    return _Clusters(table.clusters, values.shape[1]).variances(values)


def run_weights(runs: Runs, contrast: Contrast) -> tuple[npt.NDArray[np.intp], FloatArray]:
    """Return the rows in the contrast's cells, and their weights: the coefficient divided by the cell's runs.

    Raises:
        ValueError: A cell of the contrast has no run.
    """
    counts = {cell: sum(one == cell for one in runs.cells) for cell, c in contrast.items() if c != 0.0}
    if missing := [cell for cell, count in counts.items() if not count]:
        raise ValueError(f"cell {missing[0]} has no run; give at least one run for each cell of the contrast.")
    used = np.array([i for i, cell in enumerate(runs.cells) if cell in counts], dtype=np.intp)
    weights = np.array([contrast[runs.cells[i]] / counts[runs.cells[i]] for i in used])
    return used, weights


def two_sided_p(difference: float, error: float, df: float) -> float:
    """Return Student's two-sided p; 1 if the standard error is 0, because the test then shows nothing."""
    if not error > 0.0:
        return 1.0
    return min(1.0, 2.0 * float(special.stdtr(df, -abs(difference) / error)))


def _with_interval(estimate: float, parts: tuple[float, float], df: float, level: float) -> ContrastEstimate:
    items, seeds = parts
    se = items if math.isnan(seeds) else math.hypot(items, seeds)
    # Without any spread there is nothing to measure an effect against.
    half = two_sided(level, df) * se if se > 0.0 else math.nan
    return ContrastEstimate(
        estimate=estimate,
        se=se,
        se_items=items,
        se_seeds=seeds,
        df=df,
        low=estimate - half,
        high=estimate + half,
        p=math.nan,
        units="none",
    )


def _widened_by_ties(tested: ContrastEstimate, ties: Ties, level: float, null: float) -> ContrastEstimate:
    by_error = TestedMean(low=tested.low, high=tested.high, p=tested.p)
    cautious = widened_by_ties(by_error, ties, tested.estimate, level, null)
    if cautious == by_error:
        return tested
    return replace(tested, low=cautious.low, high=cautious.high, p=cautious.p, method=BINOMIAL)


def _within_limits(tested: ContrastEstimate, limits: Limits) -> ContrastEstimate:
    reach = max(tested.high - tested.estimate, tested.estimate - tested.low)
    cut = within(TestedMean(low=tested.low, high=tested.high, p=tested.p), tested.estimate, limits)
    return replace(tested, low=cut.low, high=cut.high, reach=reach, limits=limits)


def _limits(table: ItemTable, weights: FloatArray) -> Limits | None:
    """Return the smallest and the largest weighted sum of the runs' values that an item could have."""
    if table.span is None:
        return None
    low, high = (weights * end * table.weight for end in table.span)
    return float(np.minimum(low, high).sum()), float(np.maximum(low, high).sum())


def _checked(table: ItemTable, n_runs: int) -> FloatArray:
    values = np.asarray(table.values, dtype=np.float64)
    if values.ndim != 2 or values.shape[0] != n_runs:
        raise ValueError(f"values have shape {values.shape}; give one row for each of the {n_runs} runs.")
    if not np.isfinite(values).all():
        raise ValueError("values hold NaN or infinity; leave out items that some run did not answer.")
    return values


class _Clusters:
    """The clusters of a task's items, for CR2 variances of the means of many rows at once."""

    def __init__(self, clusters: Clusters | None, items: int) -> None:
        codes = np.arange(items) if clusters is None else cluster_codes(clusters, items)
        self._order = np.argsort(codes, kind="stable")
        self.sizes = np.bincount(codes).astype(np.float64)
        if self.sizes.size < 2:
            raise ValueError(f"{self.sizes.size} cluster of items; the error of items needs at least two.")
        self._starts = np.concatenate([[0], np.cumsum(self.sizes)[:-1]]).astype(np.intp)
        self.df = degrees_of_freedom(self.sizes)

    def variances(self, rows: FloatArray) -> FloatArray:
        """Return CR2's variance of the mean of each row, shape (rows,)."""
        items = rows.shape[1]
        centred = rows - rows.mean(axis=1, keepdims=True)
        totals = np.add.reduceat(centred[:, self._order], self._starts, axis=1)
        variances: FloatArray = (totals**2 / (1.0 - self.sizes / items)).sum(axis=1) / items**2
        return variances


class _ItemSets:
    """The independent sets of items of several tables, for variances of many weighted sums of means at once."""

    def __init__(self, tables: Sequence[ItemTable], rows: Sequence[FloatArray]) -> None:
        names = [table.item_set or f"\0{at}" for at, table in enumerate(tables)]
        self._clusters = [_Clusters(table.clusters, own.shape[1]) for table, own in zip(tables, rows, strict=True)]
        self._units = [None if table.clusters is None else np.asarray(table.clusters) for table in tables]
        self._sets = [[at for at, name in enumerate(names) if name == one] for one in dict.fromkeys(names)]
        self.dfs = [min(self._clusters[at].df for at in members) for members in self._sets]

    def variances(self, rows: Sequence[FloatArray]) -> FloatArray:
        """Return the variance of each set's sum of means, shape (sets, rows); one array per table, (rows, items)."""
        return np.array([self._of_set(members, [rows[at] for at in members]) for members in self._sets])

    def _of_set(self, members: Sequence[int], rows: Sequence[FloatArray]) -> FloatArray:
        if len(members) == 1:
            return self._clusters[members[0]].variances(rows[0])
        units, one_set, ones = [self._units[at] for at in members], [""] * len(members), np.ones(len(members))
        covariances = [covariance_of_means(values, units, one_set) for values in zip(*rows, strict=True)]
        return np.array([weighted_variance(covariance, ones) for covariance in covariances])


@dataclass(frozen=True, kw_only=True, eq=False)
class _Group:
    """Plots that share cells.

    Attributes:
        forms: Each plot's scaled contribution as weights of the runs' values, shape (plots, runs).
        df: Degrees of freedom of the sum of their squares if runs are independent.
    """

    forms: FloatArray
    df: float


@functools.lru_cache(maxsize=256)
def _error_units(
    cells: tuple[Cell, ...], plots: tuple[Hashable, ...], weights: tuple[float, ...]
) -> tuple[str, tuple[_Group, ...]]:
    """Return the largest units whose scatter can be estimated: plots, else runs, else none.

    Cached, because every task of a study has the same design.
    """
    for unit, labels in (("plots", list(plots)), ("runs", list(range(len(plots))))):
        groups = _groups(cells, labels, np.array(weights))
        if groups is not None:
            return unit, groups
    return "none", ()


def _groups(cells: Sequence[Cell], plots: Sequence[Hashable], weights: FloatArray) -> tuple[_Group, ...] | None:
    """Return the contributions of the plots, by set of plots that share cells; None if one cannot be estimated.

    Two plots of one level, each tuned twice; rows are residuals about the cell means, scaled by (1 - 1/2)^(-1/2):

        run       NN-0  NC-0  NN-1  NC-1
        plot 0    w     w    -w    -w    times 1/2 sqrt(2)
        plot 1   -w    -w     w     w
    """
    design = np.array([[cell == other for other in dict.fromkeys(cells)] for cell in cells], dtype=np.float64)
    hat = (design / design.sum(axis=0)) @ design.T
    residual = np.eye(len(cells)) - hat
    groups: list[_Group] = []
    for members in _sharing_cells(cells, plots):
        forms = []
        for plot in members:
            rows = [i for i, other in enumerate(plots) if other == plot]
            values, vectors = np.linalg.eigh(residual[np.ix_(rows, rows)])
            along = vectors.T @ weights[rows]
            if (np.abs(along[values < _FITTED_EXACTLY]) > _FITTED_EXACTLY).any():
                return None
            keep = values >= _FITTED_EXACTLY
            scaled = vectors[:, keep] @ (along[keep] / np.sqrt(values[keep]))
            forms.append(scaled @ residual[rows])
        block = np.array(forms)
        products = block @ block.T
        spread = float((products**2).sum())
        if spread > 0.0:
            groups.append(_Group(forms=block, df=float(np.trace(products)) ** 2 / spread))
    return tuple(groups)


def _sharing_cells(cells: Sequence[Cell], plots: Sequence[Hashable]) -> list[list[Hashable]]:
    """Return the plots in sets: two plots are in one set if they have a cell in common, also through other plots."""
    sets: list[tuple[set[Cell], list[Hashable]]] = []
    for plot in dict.fromkeys(plots):
        own = {cell for cell, other in zip(cells, plots, strict=True) if other == plot}
        joined = [one for one in sets if one[0] & own]
        sets = [one for one in sets if not one[0] & own]
        sets.append((own.union(*(one[0] for one in joined)), [p for one in joined for p in one[1]] + [plot]))
    return [members for _, members in sets]
