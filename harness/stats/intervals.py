"""The interval of one model's mean on one task, by a fixed rule that the result names.

| values | clusters | method |
|---|---|---|
| all 0 or 1 | none | Wilson's score interval |
| all 0 or 1 | yes | Wilson's on the effective sample size, with a t-quantile |
| other | either | bootstrap-t over clusters; a skewness-corrected t where the resamples collapse |

Differences of two models are in `paired`.
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
    clustered_mean,
    effective_size,
    group_by_cluster,
)
from harness.stats.clustered import two_sided_quantile as two_sided
from harness.stats.proportions import wilson_interval
from harness.stats.resampling import repeatable_counts

RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """Two ends and the method that gave them.

    Attributes:
        low: Lower end.
        high: Upper end.
        method: ``wilson``, ``wilson-effective``, ``bootstrap-t``, ``skew-t``, ``no-spread`` (several clusters and
            not the least spread: a point) or ``none`` (one cluster or one item that is not 0 or 1: nothing is known).
    """

    low: float
    high: float
    method: str


def interval(
    values: Values,
    clusters: Clusters | None = None,
    level: float = 0.95,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Interval of the mean of `values`.

    Args:
        values: One number an item.
        clusters: One label an item, or None.
        level: Coverage wanted, between 0 and 1.
        resamples: For the bootstrap-t.
        seed: For the bootstrap-t.

    Raises:
        ValueError: NaN, no items, labels of another length, or an impossible level.
    """
    grouped = group_by_cluster(values, clusters)
    if grouped.binary:
        return _binary(grouped, level)
    return _continuous(grouped, level, resamples=resamples, seed=seed)


def _binary(grouped: ClusteredValues, level: float) -> Interval:
    """Wilson; under clustering with the effective size for the size and Student's t for the normal quantile.

    One of the intervals that Dean and Pagano (2015, Journal of Survey Statistics and Methodology 3) compare.
    """
    if not grouped.has_clusters:
        low, high = wilson_interval(grouped.mean, grouped.values.size, two_sided(level))
        return Interval(low=float(low), high=float(high), method="wilson")
    df = clustered_mean(grouped).degrees_of_freedom
    if df == 0.0:
        return Interval(low=0.0, high=1.0, method="none")
    low, high = wilson_interval(grouped.mean, effective_size(grouped), two_sided(level, df))
    return Interval(low=float(low), high=float(high), method="wilson-effective")


def _continuous(grouped: ClusteredValues, level: float, *, resamples: int, seed: int) -> Interval:
    estimate = clustered_mean(grouped)
    if estimate.clusters == 1:
        return Interval(low=-math.inf, high=math.inf, method="none")
    mean, error = estimate.mean, estimate.standard_error
    if not error > 1e-12 * float(np.abs(grouped.values).max()):
        return Interval(low=mean, high=mean, method="no-spread")
    tails = ((1.0 - level) / 2.0, (1.0 + level) / 2.0)
    # A plain order statistic, because interpolating next to an infinite ratio gives NaN.
    ratios = np.quantile(_studentised_means(grouped, resamples, seed), tails, method="inverted_cdf")
    method = "bootstrap-t"
    if not np.isfinite(ratios).all():
        student = two_sided(level, estimate.degrees_of_freedom)
        ratios, method = np.array([_skewed(grouped, -student), _skewed(grouped, student)]), "skew-t"
    low, high = mean - error * float(ratios[1]), mean - error * float(ratios[0])
    return Interval(low=min(mean, low), high=max(mean, high), method=method)


def _skewed(grouped: ClusteredValues, quantile: float) -> float:
    """The quantile of a studentised mean of skewed values: Hall's (1992, JRSS B 54) cubic transformation, inverted.

    With skewness g of G cluster residuals, T + g T^2 / (3 sqrt G) + g^2 T^3 / (27 G) + g / (6 sqrt G) is nearly
    Student's; needs no resampling, so it serves where too many resamples are constant.
    """
    residuals = grouped.residuals
    count = residuals.size
    skewness = float((residuals**3).mean() / (residuals**2).mean() ** 1.5) / math.sqrt(count)
    if abs(skewness) < 1e-9:
        return quantile
    return float((np.cbrt(1.0 + skewness * (quantile - skewness / 6.0)) - 1.0) / (skewness / 3.0))


def _studentised_means(grouped: ClusteredValues, resamples: int, seed: int) -> FloatArray:
    """(mean* - mean) / SE* of each resample of whole clusters (Efron and Tibshirani 1993, ch. 12.5).

    SE* carries the factor G / (G - 1) for simplicity; it is constant over resamples of equal cluster sizes. A resample
    without spread has an infinite ratio.
    """
    count, residuals, sizes = grouped.totals.size, grouped.residuals, grouped.sizes
    columns = np.stack([residuals, sizes, residuals**2, residuals * sizes, sizes**2], axis=1)
    ratios = []
    for counts in repeatable_counts(count, resamples, seed):
        sums, items, squares, cross, size_squares = (counts @ columns).T
        shift = sums / items
        variance = (squares - 2.0 * shift * cross + shift**2 * size_squares) * count / (count - 1) / items**2
        spread = variance > 1e-14 * squares / items**2
        infinite = np.where(shift == 0.0, 0.0, np.copysign(np.inf, shift))
        ratios.append(np.where(spread, shift / np.sqrt(np.where(spread, variance, 1.0)), infinite))
    return np.concatenate(ratios)
