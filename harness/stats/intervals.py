"""The interval of one model's mean on one task. A fixed rule picks the method, and the result names it.

| values | clusters | method |
|---|---|---|
| all 0 or 1 | no | Wilson's score interval |
| all 0 or 1 | yes | Wilson's with the effective sample size and a t-quantile |
| other, ten clusters or more | either | bootstrap-t over clusters |
| other, fewer, or too many constant resamples | either | the wider of Student's t and a skewness-corrected t |

A value has a possible range, which these methods do not know: `Interval.within` ends the interval there. `paired`
compares two models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from harness.stats.clustered import (
    FEW_CLUSTERS,
    ClusteredValues,
    Clusters,
    FloatArray,
    Values,
    cautious_freedom,
    clustered_mean,
    effective_size,
    group_by_cluster,
)
from harness.stats.clustered import two_sided_quantile as two_sided
from harness.stats.limits import Limits
from harness.stats.proportions import wilson_interval
from harness.stats.resampling import repeatable_counts

RESAMPLES = 10_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Interval:
    """An interval and the method that computed it.

    Attributes:
        low: Lower end.
        high: Upper end.
        method: ``wilson``, ``wilson-effective``, ``bootstrap-t``, ``skew-t``, ``no-spread`` (all values of several
            clusters are equal: a point) or ``none`` (one cluster, or one item that is not 0 or 1: unbounded).
    """

    low: float
    high: float
    method: str

    def within(self, limits: Limits) -> Interval:
        """Return the part of the interval between `limits`, the smallest and the largest possible mean."""
        return replace(self, low=max(self.low, limits[0]), high=min(self.high, limits[1]))


def interval(
    values: Values,
    clusters: Clusters | None = None,
    level: float = 0.95,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Return the interval of the mean of `values`.

    Args:
        values: One number per item.
        clusters: One label per item, or None.
        level: Coverage, between 0 and 1.
        resamples: Bootstrap resamples.
        seed: Seed of the bootstrap.

    Raises:
        ValueError: NaN, no items, a different number of labels, or an impossible level.
    """
    grouped = group_by_cluster(values, clusters)
    if grouped.binary:
        return _binary(grouped, level)
    return _continuous(grouped, level, resamples=resamples, seed=seed)


def _binary(grouped: ClusteredValues, level: float) -> Interval:
    """Wilson's interval. With clusters it uses the effective size and a t-quantile.

    Dean and Pagano (2015, Journal of Survey Statistics and Methodology 3) compare this interval with others.
    """
    if not grouped.has_clusters:
        low, high = wilson_interval(grouped.mean, grouped.values.size, two_sided(level))
        return Interval(low=float(low), high=float(high), method="wilson")
    df = clustered_mean(grouped).degrees_of_freedom
    if df == 0.0:
        return Interval(low=0.0, high=1.0, method="none")
    critical = two_sided(level, cautious_freedom(grouped))
    low, high = wilson_interval(grouped.mean, effective_size(grouped), critical)
    return Interval(low=float(low), high=float(high), method="wilson-effective")


def _continuous(grouped: ClusteredValues, level: float, *, resamples: int, seed: int) -> Interval:
    estimate = clustered_mean(grouped)
    if estimate.clusters == 1:
        return Interval(low=-math.inf, high=math.inf, method="none")
    mean, error = estimate.mean, estimate.standard_error
    if not error > 1e-12 * float(np.abs(grouped.values).max()):
        return Interval(low=mean, high=mean, method="no-spread")
    student = two_sided(level, cautious_freedom(grouped) if grouped.has_clusters else estimate.degrees_of_freedom)
    ratios = _bootstrap_t(grouped, level, resamples, seed) if estimate.clusters >= FEW_CLUSTERS else None
    method = "skew-t" if ratios is None else "bootstrap-t"
    if ratios is None:
        ratios = min(-student, _skewed(grouped, -student)), max(student, _skewed(grouped, student))
    elif grouped.has_clusters:
        # Resampled errors vary less than the degrees of freedom of uneven or correlated clusters imply. The draws keep
        # their skewness, but on average they must be as wide as the t-quantile with these degrees of freedom.
        width = (abs(ratios[0]) + abs(ratios[1])) / 2.0
        wider = student / min(two_sided(level, estimate.degrees_of_freedom), width)
        ratios = ratios[0] * wider, ratios[1] * wider
    low, high = mean - error * ratios[1], mean - error * ratios[0]
    return Interval(low=min(mean, low), high=max(mean, high), method=method)


def _bootstrap_t(grouped: ClusteredValues, level: float, resamples: int, seed: int) -> tuple[float, float] | None:
    """Return both quantiles of the studentised mean; None if so many resamples are constant that one is infinite."""
    tails = ((1.0 - level) / 2.0, (1.0 + level) / 2.0)
    # An order statistic, because interpolation next to an infinite ratio gives NaN.
    low, high = np.quantile(_studentised_means(grouped, resamples, seed), tails, method="inverted_cdf")
    return (float(low), float(high)) if math.isfinite(low) and math.isfinite(high) else None


def _skewed(grouped: ClusteredValues, quantile: float) -> float:
    """The quantile of a studentised mean T of skewed values: the inverse of Hall's cubic transformation.

    With skewness g of G cluster residuals, T + g T^2 / (3 sqrt G) + g^2 T^3 / (27 G) + g / (6 sqrt G) nearly follows
    Student's t (Hall 1992, JRSS B 54). It needs no resampling. Resamples of four items are often nearly constant, and
    the bootstrap's quantile may then be thousands of standard errors; this one is at most 4.2 times Student's. The
    skewness of few items is mostly noise, so it may widen an interval, but not shorten it: the caller takes the wider
    quantile at each end.
    """
    residuals = grouped.residuals
    count = residuals.size
    skewness = float((residuals**3).mean() / (residuals**2).mean() ** 1.5) / math.sqrt(count)
    if abs(skewness) < 1e-9:
        return quantile
    return float((np.cbrt(1.0 + skewness * (quantile - skewness / 6.0)) - 1.0) / (skewness / 3.0))


def _studentised_means(grouped: ClusteredValues, resamples: int, seed: int) -> FloatArray:
    """(mean* - mean) / SE* of each resample of whole clusters (Efron and Tibshirani 1993, ch. 12.5).

    SE* uses the simple factor G / (G - 1), which is the same for all resamples if cluster sizes are equal. The ratio of
    a resample of equal values is infinite.
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
