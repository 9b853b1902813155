"""Arms of several training seeds: the difference of two arms, with item variance and seed variance separated.

All checkpoints answer the same items. `paired` compares two single checkpoints, `dose` fits a numeric factor.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.stats.clustered import ClusteredValues, Clusters, FloatArray, as_values, clustered_mean, group_by_cluster
from harness.stats.clustered import two_sided_quantile as two_sided
from harness.stats.resampling import bootstrap_counts, repeatable_counts


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
        low: Lower end of the hierarchical bootstrap interval.
        high: Upper end.
        level: Coverage of the interval.
        seeds: Number of seeds of A and of B.
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
    seeds: tuple[int, int]
    components_a: VarianceComponents
    components_b: VarianceComponents


def compare_arms(
    a: npt.ArrayLike,
    b: npt.ArrayLike,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> ArmDifference:
    """Compare two arms of several seeds each on the same items.

    The model is value = arm + seed + item + residual, with seeds and items as random effects. `seed_error`^2 is the sum
    over arms of seed variance / seeds. `item_error` is the clustered error of the items' differences of arm means; it
    includes the residual. The hierarchical bootstrap resamples seeds within each arm, and whole clusters of items for
    both arms together. Seed draws are scaled to the estimated seed variance, because a plain bootstrap of three seeds
    has a third too little variance and counts item variance twice. The bootstrap quantiles are multiplied by t / z,
    because there are few seeds.

    Args:
        a: Values of arm A, shape (seeds of A, items), at least two seeds.
        b: Values of arm B, shape (seeds of B, items), items in the same order.
        clusters: One label per item, or None.
        level: Coverage of the interval.
        resamples: Bootstrap draws.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: Fewer than two seeds or clusters, NaN, different numbers of items, or an impossible level.
    """
    arm_a, arm_b = as_table(a, "a"), as_table(b, "b")
    if arm_a.shape[1] != arm_b.shape[1]:
        raise ValueError(
            f"a has {arm_a.shape[1]} items and b {arm_b.shape[1]}; give the items that all checkpoints answered."
        )
    grouped = group_by_cluster(arm_b.mean(axis=0) - arm_a.mean(axis=0), clusters)
    items = clustered_mean(grouped)
    if items.clusters < 2:
        raise ValueError("one cluster or item; item variance needs at least two.")
    components = [variance_components(arm, clusters) for arm in (arm_a, arm_b)]
    seed_variances = [part.seed / arm.shape[0] for part, arm in zip(components, (arm_a, arm_b), strict=True)]
    item_variance = items.standard_error**2
    total = item_variance + sum(seed_variances)
    df = _freedom(total, item_variance, items.degrees_of_freedom, (arm_a, arm_b))
    draws = _item_draws(grouped, resamples, seed)
    # A different random stream from the items', or large seed draws would coincide with large item draws.
    rng = np.random.default_rng((seed, 1))
    for arm, variance, sign in ((arm_a, seed_variances[0], -1.0), (arm_b, seed_variances[1], 1.0)):
        draws += sign * _seed_draws(arm, variance, resamples, rng)
    stretch = two_sided(level, df) / two_sided(level)
    lower, upper = np.quantile(draws, [(1.0 - level) / 2.0, (1.0 + level) / 2.0]) * stretch
    return ArmDifference(
        difference=items.mean,
        standard_error=math.sqrt(total),
        item_error=items.standard_error,
        seed_error=math.sqrt(sum(seed_variances)),
        degrees_of_freedom=df,
        low=items.mean + float(lower),
        high=items.mean + float(upper),
        level=level,
        seeds=(arm_a.shape[0], arm_b.shape[0]),
        components_a=components[0],
        components_b=components[1],
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


def _freedom(total: float, item_variance: float, item_freedom: float, arms: tuple[FloatArray, FloatArray]) -> float:
    """Satterthwaite's degrees of freedom of `total`.

    A seed component is the variance of the seeds' means minus the part that items explain. It is as uncertain as that
    whole variance, so the denominator uses the variance without the subtraction.
    """
    uncertainty = item_variance**2 / item_freedom
    for arm in arms:
        seeds = arm.shape[0]
        uncertainty += (float(arm.mean(axis=1).var(ddof=1)) / seeds) ** 2 / (seeds - 1)
    return max(total**2 / uncertainty, 1.0) if uncertainty > 0.0 else item_freedom


def _item_draws(grouped: ClusteredValues, resamples: int, seed: int) -> FloatArray:
    count = grouped.totals.size
    columns = np.stack([grouped.residuals, grouped.sizes], axis=1)
    sums = np.concatenate([block @ columns for block in repeatable_counts(count, resamples, seed)])
    draws: FloatArray = sums[:, 0] / sums[:, 1] * math.sqrt(count / (count - 1))
    return draws


def _seed_draws(arm: FloatArray, variance: float, resamples: int, rng: np.random.Generator) -> FloatArray:
    """Deviations of the mean of resampled seeds, scaled to have variance `variance`."""
    means = arm.mean(axis=1)
    deviations = means - means.mean()
    plain = float(deviations @ deviations) / arm.shape[0] ** 2
    scale = math.sqrt(variance / plain) if plain > 0.0 else 0.0
    blocks = [block @ deviations for block in bootstrap_counts(arm.shape[0], resamples, rng)]
    draws: FloatArray = np.concatenate(blocks) * (scale / arm.shape[0])
    return draws
