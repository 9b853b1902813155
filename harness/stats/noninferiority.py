"""Non-inferiority: a one-sided test that B is not worse than A by a margin, as a test of "no negative transfer"."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from scipy import special

from harness.stats.clustered import (
    ClusteredValues,
    Clusters,
    Values,
    clustered_mean,
    group_by_cluster,
    two_sided_quantile,
)
from harness.stats.paired import (
    both_binary,
    effective_counts,
    interval_in_few_clusters,
    p_in_few_clusters,
    paired_values,
    score_freedom,
)
from harness.stats.proportions import paired_score, paired_score_interval
from harness.stats.wild import needs_wild_bootstrap

Conclusion = Literal["non-inferior", "inferior", "inconclusive"]


@dataclass(frozen=True, kw_only=True, slots=True)
class NonInferiority:
    """The result of a non-inferiority test of B against A.

    Attributes:
        margin: The smallest loss that counts as harm, above 0, in the units of the values.
        alpha: One-sided significance level.
        difference: Mean of B minus mean of A.
        p: One-sided, for the null hypothesis "B is worse by the margin or more".
        p_inferior: Two-sided, for the null hypothesis "B is worse by exactly the margin"; 1 if B is not worse by more.
            Below `alpha` exactly when the conclusion is ``inferior``.
        bound: One-sided lower bound of the difference at level 1 - `alpha`; above -`margin` exactly when `p` < `alpha`.
        conclusion: ``non-inferior``: `bound` is above -`margin`. ``inferior``: the whole two-sided interval is below
            -`margin`. ``inconclusive``: neither harm nor its absence is shown.
    """

    margin: float
    alpha: float
    difference: float
    p: float
    p_inferior: float
    bound: float
    conclusion: Conclusion


def non_inferiority(
    a: Values, b: Values, *, margin: float, clusters: Clusters | None = None, alpha: float = 0.05
) -> NonInferiority:
    """Test that B is not worse than A by `margin` or more, on the same items.

    0/1 answers: Tango's (1998, Statistics in Medicine 17) score test at the difference -margin; with clusters, on the
    effective size with a t-quantile. Other values: Student's t of (difference + margin) / clustered standard error. If
    all differences are equal, there is no error to divide by, and the test is inconclusive.

    Raises:
        ValueError: NaN, no items, different lengths, a margin of 0 or less, or an impossible alpha.
    """
    if not (margin > 0.0 and math.isfinite(margin)):
        raise ValueError(
            f"margin is {margin}; it must be above 0. Give the smallest loss that counts as harm, such as 0.02."
        )
    if not 0.0 < alpha < 0.5:
        raise ValueError(f"alpha is {alpha}; it must be between 0 and 0.5.")
    values_a, values_b = paired_values(a, b)
    grouped = group_by_cluster(values_b - values_a, clusters)
    binary = both_binary(values_a, values_b)
    if needs_wild_bootstrap(grouped):
        p, p_inferior, low = _test_in_few_clusters(grouped, margin, alpha, binary)
    elif binary:
        p, p_inferior, low = _score_test(grouped, margin, alpha)
    else:
        p, p_inferior, low = _t_test(grouped, margin, alpha)
    conclusion: Conclusion = "non-inferior" if p < alpha else "inferior" if p_inferior < alpha else "inconclusive"
    return NonInferiority(
        margin=margin,
        alpha=alpha,
        difference=grouped.mean,
        p=p,
        p_inferior=p_inferior,
        bound=low,
        conclusion=conclusion,
    )


def _test_in_few_clusters(
    grouped: ClusteredValues, margin: float, alpha: float, binary: bool
) -> tuple[float, float, float]:
    low, _ = interval_in_few_clusters(grouped, binary, 1.0 - 2.0 * alpha, anchor=-margin)
    two_sided = p_in_few_clusters(grouped, binary, -margin)
    return *both_sides(two_sided, grouped.mean + margin), low


def both_sides(two_sided: float, surplus: float) -> tuple[float, float]:
    """Return p of non-inferiority and of inferiority from the two-sided p of a difference of exactly -margin.

    The one-sided p is half the two-sided one, so that it agrees with the interval.

    Args:
        two_sided: That p.
        surplus: Difference + margin.
    """
    return (1.0 - two_sided / 2.0, two_sided) if surplus < 0.0 else (two_sided / 2.0, 1.0)


def _score_test(grouped: ClusteredValues, margin: float, alpha: float) -> tuple[float, float, float]:
    df = score_freedom(grouped)
    if df == 0.0:
        return 1.0, 1.0, -1.0
    if margin >= 1.0:
        return 0.0, 1.0, -1.0
    counts = effective_counts(grouped)
    low, _ = paired_score_interval(*counts, two_sided_quantile(1.0 - 2.0 * alpha, df))
    return *_tails(paired_score(*counts, -margin), df), low


def _t_test(grouped: ClusteredValues, margin: float, alpha: float) -> tuple[float, float, float]:
    estimate = clustered_mean(grouped)
    if estimate.clusters < 2 or not estimate.standard_error > 0.0:
        return 1.0, 1.0, -math.inf
    df, error, surplus = estimate.degrees_of_freedom, estimate.standard_error, estimate.mean + margin
    half = two_sided_quantile(1.0 - 2.0 * alpha, df) * error
    return *_tails(surplus / error, df), estimate.mean - half


def _tails(statistic: float, df: float) -> tuple[float, float]:
    """Return p of non-inferiority and of inferiority."""
    return _upper_tail(statistic, df), min(1.0, 2.0 * _upper_tail(-statistic, df)) if statistic < 0.0 else 1.0


def _upper_tail(statistic: float, df: float) -> float:
    if math.isinf(df):
        return float(special.ndtr(-statistic))
    return float(special.stdtr(df, -statistic))
