"""Two models on the same items: the difference, its interval, its p-value and the minimum detectable effect.

| answers of both | interval | p |
|---|---|---|
| 0 or 1 | Tango's score interval; with clusters, on the effective size | McNemar exact; clusters flip together |
| other | Student's t with the clustered error | sign flip |

`corrections` corrects over tasks, `noninferiority` tests against a margin, `seeds` compares arms of several seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from harness.stats.clustered import (
    ClusteredValues,
    Clusters,
    FloatArray,
    Values,
    as_values,
    clustered_mean,
    effective_size,
    group_by_cluster,
)
from harness.stats.clustered import two_sided_quantile as two_sided
from harness.stats.permutation import sign_flip
from harness.stats.power import minimum_detectable_effect, minimum_detectable_effect_binary
from harness.stats.proportions import paired_score_interval


@dataclass(frozen=True, kw_only=True, slots=True)
class PairedDifference:
    """The comparison of B with A on one task.

    Attributes:
        items: Items that both models answered.
        clusters: Number of clusters; equals `items` when unclustered.
        mean_a: Mean of A.
        mean_b: Mean of B.
        difference: `mean_b` - `mean_a`.
        standard_error: Clustered, of the difference; NaN with fewer than two clusters.
        degrees_of_freedom: Of `standard_error`.
        low: Lower end of the interval of the difference.
        high: Upper end.
        level: Coverage of the interval.
        interval_method: ``tango``, ``tango-effective``, ``student-t``, ``no-spread`` or ``none``.
        p: Two-sided mid-p; decisions and corrections use this one (see docs/statistics.md).
        p_exact: Two-sided, from McNemar's exact test or the sign-flip permutation test.
        test: ``mcnemar``, ``convolution``, ``enumeration`` or ``monte-carlo``; see `permutation.FlipTest`.
        gained: Items on which B is better.
        lost: Items on which A is better.
        correlation: Of the two models' values over items; NaN if the values of one model are all equal.
        minimum_detectable_effect: At 80% power and significance level 1 - `level`; infinite if no effect is detectable.
    """

    items: int
    clusters: int
    mean_a: float
    mean_b: float
    difference: float
    standard_error: float
    degrees_of_freedom: float
    low: float
    high: float
    level: float
    interval_method: str
    p: float
    p_exact: float
    test: str
    gained: int
    lost: int
    correlation: float
    minimum_detectable_effect: float


def compare_paired(
    a: Values,
    b: Values,
    clusters: Clusters | None = None,
    *,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> PairedDifference:
    """Compare B with A on the same items, item by item.

    Args:
        a: A's value of each item, shape (items,).
        b: B's value of each item, in the same order.
        clusters: One label per item, or None.
        level: Coverage of the interval.
        resamples: Monte Carlo draws, used if an exact p is too slow.
        seed: Seed of those draws.

    Raises:
        ValueError: NaN, no items, different lengths, or an impossible level.
    """
    values_a, values_b = paired_values(a, b)
    grouped = group_by_cluster(values_b - values_a, clusters)
    binary = both_binary(values_a, values_b)
    estimate = clustered_mean(grouped)
    low, high, method = _interval(grouped, binary, level)
    test = sign_flip(grouped.totals, resamples=resamples, seed=seed)
    return PairedDifference(
        items=estimate.items,
        clusters=estimate.clusters,
        mean_a=float(values_a.mean()),
        mean_b=float(values_b.mean()),
        difference=estimate.mean,
        standard_error=estimate.standard_error,
        degrees_of_freedom=estimate.degrees_of_freedom,
        low=low,
        high=high,
        level=level,
        interval_method=method,
        p=test.p_mid,
        p_exact=test.p_exact,
        test=test.method,
        gained=int((grouped.values > 0.0).sum()),
        lost=int((grouped.values < 0.0).sum()),
        correlation=_correlation(values_a, values_b),
        minimum_detectable_effect=_detectable(grouped, binary, 1.0 - level),
    )


def paired_values(a: Values, b: Values) -> tuple[FloatArray, FloatArray]:
    """Return both models' values as arrays of the same length.

    Raises:
        ValueError: NaN, no items, or different lengths.
    """
    values_a, values_b = as_values(a, "a"), as_values(b, "b")
    if values_a.size != values_b.size:
        raise ValueError(f"a has {values_a.size} items and b {values_b.size}; give the items that both answered.")
    return values_a, values_b


def both_binary(values_a: FloatArray, values_b: FloatArray) -> bool:
    """Return whether all values of both models are 0 or 1."""
    return bool(np.isin(values_a, (0.0, 1.0)).all() and np.isin(values_b, (0.0, 1.0)).all())


def effective_counts(grouped: ClusteredValues) -> tuple[float, float, float]:
    """Return gained, lost and all items of 0/1 differences, divided by the design effect (Rao and Scott 1992)."""
    worth = effective_size(grouped) / grouped.values.size
    gained, lost = float((grouped.values > 0.0).sum()), float((grouped.values < 0.0).sum())
    return gained * worth, lost * worth, grouped.values.size * worth


def score_freedom(grouped: ClusteredValues) -> float:
    """Return the degrees of freedom of a test on 0/1 differences: those of the clustered error, else infinity."""
    return clustered_mean(grouped).degrees_of_freedom if grouped.has_clusters else math.inf


def _interval(grouped: ClusteredValues, binary: bool, level: float) -> tuple[float, float, str]:
    estimate = clustered_mean(grouped)
    if binary:
        df = score_freedom(grouped)
        if df == 0.0:
            return -1.0, 1.0, "none"
        low, high = paired_score_interval(*effective_counts(grouped), two_sided(level, df))
        return low, high, "tango-effective" if grouped.has_clusters else "tango"
    if estimate.clusters < 2:
        two_sided(level)
        return -math.inf, math.inf, "none"
    half = two_sided(level, estimate.degrees_of_freedom) * estimate.standard_error
    return estimate.mean - half, estimate.mean + half, "student-t" if half > 0.0 else "no-spread"


def _detectable(grouped: ClusteredValues, binary: bool, alpha: float) -> float:
    estimate = clustered_mean(grouped)
    if binary:
        df = score_freedom(grouped)
        if df == 0.0:
            return math.inf
        discordant = float((grouped.values != 0.0).mean())
        return minimum_detectable_effect_binary(effective_size(grouped), discordant, df, alpha=alpha)
    if estimate.clusters < 2:
        return math.inf
    return minimum_detectable_effect(estimate.standard_error, estimate.degrees_of_freedom, alpha=alpha)


def _correlation(values_a: FloatArray, values_b: FloatArray) -> float:
    if np.ptp(values_a) == 0.0 or np.ptp(values_b) == 0.0:
        return math.nan
    return float(np.corrcoef(values_a, values_b)[0, 1])
