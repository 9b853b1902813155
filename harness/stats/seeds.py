"""Arms of several training seeds: the difference of two arms, with item variance and seed variance separated.

All checkpoints answer the same items. `paired` compares two single checkpoints, `runs` compares arms over several
tasks, `dose` fits a numeric factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.clustered import Clusters, FloatArray, as_values, cluster_codes, clustered_mean, group_by_cluster
from harness.stats.paired import both_binary
from harness.stats.runs import Plots, TaskScores, compare_over_tasks


@dataclass(frozen=True, kw_only=True, slots=True)
class VarianceComponents:
    """Variance components of one arm's seeds x items table, for a single cell.

    Attributes:
        seed: Between the seeds' true means; 0 if the observed means differ no more than item variance explains.
        item: Between items, common to all seeds.
        residual: The rest, from items that one seed gets right and another wrong.
    """

    seed: float
    item: float
    residual: float


@dataclass(frozen=True, kw_only=True, slots=True)
class ArmDifference:
    """The comparison of arm B with arm A, each of several seeds.

    Attributes:
        difference: Mean of B minus mean of A, over seeds and items.
        standard_error: sqrt(`item_error`^2 + `seed_error`^2).
        item_error: From the choice of items; shrinks with more items.
        seed_error: From the choice of seeds; shrinks with more training runs.
        degrees_of_freedom: Of `standard_error`, by Satterthwaite's formula.
        low: Lower end of the interval, Student's t; wider in fewer than ten clusters. NaN, as high and p, if nothing
            differs and values are not limited.
        high: Upper end.
        level: Coverage of the interval.
        p: Two-sided, by the same test; at most 1 - `level` exactly when the tested difference is outside the interval.
        minimum_detectable_effect: At 80% power and significance level 1 - `level`.
        seeds: Number of seeds of A and of B; of pre-training runs if `plots` says that seeds share them.
        paired: Whether the arms share pre-training runs, whose luck cancels.
        components_a: Variance components of A.
        components_b: Variance components of B.
    """

    difference: float
    standard_error: float
    item_error: float
    seed_error: float
    degrees_of_freedom: float
    low: float
    high: float
    level: float
    p: float
    minimum_detectable_effect: float
    seeds: tuple[int, int]
    paired: bool
    components_a: VarianceComponents
    components_b: VarianceComponents


def compare_arms(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    clusters: Clusters | None = None,
    *,
    plots: Plots | None = None,
    level: float = 0.95,
    null: float = 0.0,
    span: tuple[float, float] | None = None,
) -> ArmDifference:
    """Compare two arms of several seeds each on the same items.

    The model is value = arm + seed + item + residual, with seeds and items as random effects. `seed_error`^2 is the sum
    over arms of seed variance / seeds. `item_error` is the clustered error of the items' differences of arm means; it
    includes the residual. See `runs.compare_over_tasks`, which does the same for several tasks.

    Args:
        a: Values of arm A, shape (seeds of A, items), at least two seeds.
        b: Values of arm B, shape (seeds of B, items), items in the same order.
        clusters: One label per item, or None.
        plots: For each seed of A and of B, the pre-training run that it comes from; None if each has its own.
        level: Coverage of the interval.
        null: The difference that p tests.
        span: Smallest and largest value that a run can have on an item; without it, 0 and 1 if all values are 0 or 1,
            and no limits otherwise.

    Raises:
        ValueError: Fewer than two seeds, pre-training runs or clusters, NaN, different numbers of items, or an
            impossible level.
    """
    arm_a, arm_b = as_table(a, "a"), as_table(b, "b")
    if arm_a.shape[1] != arm_b.shape[1]:
        raise ValueError(
            f"a has {arm_a.shape[1]} items and b {arm_b.shape[1]}; give the items that all checkpoints answered."
        )
    units = None if clusters is None else cluster_codes(clusters, arm_a.shape[1])
    if span is None and both_binary(arm_a, arm_b):
        span = (0.0, 1.0)
    test = compare_over_tasks([TaskScores(a=arm_a, b=arm_b, units=units, span=span)], plots, level=level, null=null)
    return ArmDifference(
        difference=test.difference,
        standard_error=test.standard_error,
        item_error=test.item_error,
        seed_error=test.seed_error,
        degrees_of_freedom=test.degrees_of_freedom,
        low=test.low,
        high=test.high,
        level=level,
        p=test.p,
        minimum_detectable_effect=test.minimum_detectable_effect,
        seeds=test.units,
        paired=test.paired,
        components_a=variance_components(arm_a, clusters),
        components_b=variance_components(arm_b, clusters),
    )


def variance_components(values: npt.ArrayLike, clusters: Clusters | None = None) -> VarianceComponents:
    """Return seed, item and residual variance of a seeds x items table, by the method of moments.

    Without clusters these are the two-way analysis-of-variance estimates (Searle, Casella and McCulloch 1992, Variance
    Components, ch. 4): residual MSE, seed (MSS - MSE) / items, item (MSI - MSE) / seeds, cut at 0. With clusters, MSE /
    items, the part of the seeds' variance that the residual explains, is replaced by its clustered estimate.

    Args:
        values: Shape (seeds, items), at least two of each.
        clusters: One label per item, or None.

    Raises:
        ValueError: Fewer than two seeds or items, or NaN.
    """
    table = as_table(values, "values")
    seeds, items = table.shape
    if items < 2:
        raise ValueError("one item; variance components need at least two.")
    centred = table - table.mean(axis=0)
    rest = centred - centred.mean(axis=1, keepdims=True)
    residual = float((rest**2).sum()) / ((seeds - 1) * (items - 1))
    between_items = float(table.mean(axis=0).var(ddof=1))
    between_seeds = float(table.mean(axis=1).var(ddof=1))
    errors = [clustered_mean(group_by_cluster(row, clusters)).standard_error for row in centred]
    explained = float(np.mean(np.square(errors))) * seeds / (seeds - 1)
    # A single cluster gives no estimate of item variance; then all of the variance counts as seed variance.
    explained = 0.0 if math.isnan(explained) else explained
    return VarianceComponents(
        seed=max(0.0, between_seeds - explained),
        item=max(0.0, between_items - residual / seeds),
        residual=residual,
    )


def as_table(values: npt.ArrayLike, name: str) -> FloatArray:
    """Return `values` as a checkpoints x items array.

    Raises:
        ValueError: Fewer than two checkpoints, no items, NaN or infinity.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 2 or table.shape[0] < 2 or table.shape[1] < 1:
        raise ValueError(
            f"{name} has shape {table.shape}; give a table of at least two checkpoints x at least one item."
        )
    as_values(table.ravel(), name)
    return table
