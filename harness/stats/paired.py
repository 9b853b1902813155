"""Two models on the same items: the difference, its interval, its p-value and the minimum detectable effect.

| answers of both | interval | p |
|---|---|---|
| 0 or 1 | Tango's score interval; with clusters, on the effective size | McNemar's mid-p; clusters flip together |
| other | Student's t with the clustered error | sign flip |
| any, in fewer than 10 clusters | inversion of the test | wild cluster bootstrap |

Interval and p never disagree: where an approximate interval and the p of the more exact test differ about zero, the
interval takes the critical value of that test on the side of zero (`_agreeing`).

`corrections` corrects over tasks, `noninferiority` tests against a margin, `seeds` compares arms of several seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.stats.clustered import (
    ClusteredValues,
    Clusters,
    FloatArray,
    Values,
    as_values,
    cautious_freedom,
    clustered_mean,
    effective_size,
    group_by_cluster,
    quantile,
)
from harness.stats.clustered import two_sided_quantile as two_sided
from harness.stats.permutation import sign_flip
from harness.stats.power import minimum_detectable_effect, minimum_detectable_effect_binary
from harness.stats.proportions import paired_score, paired_score_interval
from harness.stats.wild import needs_wild_bootstrap, wild_interval, wild_p


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
        interval_method: ``tango``, ``tango-effective``, ``student-t``, ``wild``, ``no-spread`` or ``none``.
        p: Two-sided mid-p; decisions and corrections use this one (see docs/statistics.md). At most 1 - `level` exactly
            when 0 is outside the interval.
        p_exact: Two-sided, from McNemar's exact test or the sign-flip permutation test; never below `p`.
        test: ``mcnemar``, ``convolution``, ``enumeration``, ``monte-carlo`` (`permutation.FlipTest`) or ``wild``.
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
    test = sign_flip(grouped.totals, resamples=resamples, seed=seed)
    wild = needs_wild_bootstrap(grouped)
    p = p_in_few_clusters(grouped, binary, 0.0) if wild else test.p_mid
    low, high, method = _interval(grouped, binary, level, p)
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
        p=p,
        p_exact=max(p, test.p_exact),
        test="wild" if wild else test.method,
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


def p_in_few_clusters(grouped: ClusteredValues, binary: bool, null: float) -> float:
    """Return the two-sided p of a difference of `null` in fewer than ten clusters.

    The wild bootstrap uses only cluster sums. If few items differ, its p can be smaller than for the same number of
    unclustered items; so for 0/1 answers the score test must reject too. For other values, Student's t must reject too:
    with eight equal clusters the bootstrap alone rejects 6.2% of true null hypotheses.
    """
    if not binary:
        return max(wild_p(grouped, null), _student_p(grouped, null))
    score = abs(paired_score(*effective_counts(grouped), null))
    return max(wild_p(grouped, null), min(1.0, 2.0 * float(special.stdtr(score_freedom(grouped), -score))))


def _student_p(grouped: ClusteredValues, null: float) -> float:
    """Return Student's p; 0 if all clusters agree and the standard error is 0, so that the bootstrap decides."""
    one = clustered_mean(grouped)
    if not one.standard_error > 0.0:
        return 0.0
    return min(1.0, 2.0 * float(special.stdtr(one.degrees_of_freedom, -abs(one.mean - null) / one.standard_error)))


def interval_in_few_clusters(
    grouped: ClusteredValues, binary: bool, level: float, anchor: float = 0.0
) -> tuple[float, float]:
    """Return all differences that `p_in_few_clusters` does not reject, in agreement with it about `anchor`."""
    if not binary:
        one = clustered_mean(grouped)
        half = two_sided(level, one.degrees_of_freedom) * one.standard_error
        low, high = wild_interval(grouped, level, (-math.inf, math.inf), anchor)
        return min(low, one.mean - half), max(high, one.mean + half)
    low, high = wild_interval(grouped, level, (-1.0, 1.0), anchor)
    ends = paired_score_interval(*effective_counts(grouped), two_sided(level, score_freedom(grouped)))
    return min(low, ends[0]), max(high, ends[1])


def effective_counts(grouped: ClusteredValues) -> tuple[float, float, float]:
    """Return gained, lost and all items of 0/1 differences, divided by the design effect (Rao and Scott 1992).

    Without any disagreement there is nothing to correlate, and the counts are those of the items: the interval is then
    narrower than with one gained and one lost item, as it should be.
    """
    worth = effective_size(grouped) / grouped.values.size if (grouped.values != 0.0).any() else 1.0
    gained, lost = float((grouped.values > 0.0).sum()), float((grouped.values < 0.0).sum())
    return gained * worth, lost * worth, grouped.values.size * worth


def score_freedom(grouped: ClusteredValues) -> float:
    """Return the degrees of freedom of a test on 0/1 differences: those of the clustered error, else infinity.

    0 for a single cluster, where there is no test.
    """
    if not grouped.has_clusters:
        return math.inf
    return cautious_freedom(grouped) if grouped.totals.size > 1 else 0.0


def _interval(grouped: ClusteredValues, binary: bool, level: float, p: float) -> tuple[float, float, str]:
    if needs_wild_bootstrap(grouped):
        return *interval_in_few_clusters(grouped, binary, level), "wild"
    df = score_freedom(grouped) if binary else clustered_mean(grouped).degrees_of_freedom
    if df == 0.0:
        two_sided(level)
        return (-1.0, 1.0, "none") if binary else (-math.inf, math.inf, "none")
    if binary:
        counts = effective_counts(grouped)
        low, high = _agreeing(lambda q: paired_score_interval(*counts, q), paired_score(*counts, 0.0), df, level, p)
        return low, high, "tango-effective" if grouped.has_clusters else "tango"
    estimate = clustered_mean(grouped)
    mean, error = estimate.mean, estimate.standard_error
    if not error > 0.0:
        return mean, mean, "no-spread"
    low, high = _agreeing(lambda q: (mean - q * error, mean + q * error), mean / error, df, level, p)
    return low, high, "student-t"


def _agreeing(
    ends: Callable[[float], tuple[float, float]], statistic: float, df: float, level: float, p: float
) -> tuple[float, float]:
    """Return the interval, which excludes 0 exactly if p <= 1 - level.

    Where it would not, the end on the side of zero uses another critical value: the multiple of the statistic at which
    p crosses 1 - level. Example: 4 gained, 0 lost of 100. The score statistic is 2.0, above 1.96, but McNemar's mid-p
    is 0.0625, as if the statistic were 1.86. The critical value becomes 1.96 x 2.0 / 1.86 = 2.1.

    Args:
        ends: Both ends of the interval for a critical value.
        statistic: Of the difference against 0, on the scale of the critical value.
        df: Degrees of freedom of the critical value.
        level: Coverage.
        p: Two-sided p of the test.
    """
    critical = two_sided(level, df)
    low, high = ends(critical)
    differs = p <= 1.0 - level
    if differs == (low > 0.0 or high < 0.0) or statistic == 0.0 or not math.isfinite(statistic):
        return low, high
    as_if = quantile(1.0 - max(p, 1e-300) / 2.0, df)
    other = ends(critical * abs(statistic) / as_if) if as_if > 0.0 else (min(low, 0.0), max(high, 0.0))
    tiny = math.ulp(0.0) if differs else 0.0
    if statistic > 0.0:
        return (max(other[0], tiny) if differs else min(other[0], 0.0)), high
    return low, (min(other[1], -tiny) if differs else max(other[1], 0.0))


def _detectable(grouped: ClusteredValues, binary: bool, alpha: float) -> float:
    estimate = clustered_mean(grouped)
    if 0.5**estimate.clusters > alpha:  # all items lost would not be significant: the mid-p is 2^-n
        return math.inf
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
