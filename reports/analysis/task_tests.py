"""The test of one task: between two runs, or two arms of several seeds. `harness.stats` computes all numbers."""

from __future__ import annotations

import math
from dataclasses import replace

from scipy import special

from harness.reports.analysis.differences import ALPHA, TaskDifference
from harness.reports.analysis.pairing import Paired
from harness.stats import compare_arms, compare_paired, non_inferiority


def paired_test(untested: TaskDifference, paired: Paired, margin: float | None, resamples: int) -> TaskDifference:
    """Return `untested` with the test of two runs filled in: rows 0 and 1 of `paired`."""
    # Tests assume that more is better, so a loss such as perplexity is negated and its results are turned back:
    #     perplexity 12 -> 10: tested as -12 -> -10, a gain of 2; reported as a difference of -2.
    sign = 1.0 if untested.higher_is_better else -1.0
    a, b = paired.values * sign
    test = compare_paired(a, b, paired.clusters, resamples=resamples)
    harm = non_inferiority(a, b, margin=margin, clusters=paired.clusters) if margin else None
    return replace(
        untested,
        clusters=test.clusters,
        mean_baseline=sign * test.mean_a,
        mean_arm=sign * test.mean_b,
        difference=sign * test.difference,
        standard_error=test.standard_error,
        interval=_in_metric_sign(test.low, test.high, sign),
        p=test.p,
        p_exact=test.p_exact,
        detectable=test.minimum_detectable_effect,
        gained=test.gained,
        lost=test.lost,
        margin_p=harm.p if harm else None,
        conclusion=harm.conclusion if harm else "",
    )


def seeds_test(
    untested: TaskDifference, paired: Paired, seeds: int, margin: float | None, resamples: int
) -> TaskDifference:
    """Return `untested` with the test of two arms filled in: the first `seeds` rows of `paired` are the baseline's.

    Both p come from Student's t: the difference over its standard error of items and seeds.
    """
    sign = 1.0 if untested.higher_is_better else -1.0
    a, b = paired.values[:seeds] * sign, paired.values[seeds:] * sign
    if paired.values.shape[1] < 2 or (paired.clusters is not None and len(set(paired.clusters.tolist())) < 2):
        return replace(
            untested, mean_baseline=sign * float(a.mean()), mean_arm=sign * float(b.mean()),
            difference=sign * float(b.mean() - a.mean()), conclusion="inconclusive" if margin else "",
        )  # fmt: skip
    test = compare_arms(a, b, paired.clusters)
    if not test.standard_error > 0.0:
        # All items and all seeds gave the same value. With a standard error of 0 every difference would be significant,
        # so no test is reported.
        return replace(
            untested, mean_baseline=sign * float(a.mean()), mean_arm=sign * float(b.mean()),
            difference=sign * test.difference, conclusion="inconclusive" if margin else "",
        )  # fmt: skip
    margin_p, conclusion = None, ""
    if margin:
        margin_p = _upper_tail(test.difference + margin, test.standard_error, test.degrees_of_freedom)
        conclusion = "non-inferior" if margin_p < ALPHA else "inferior" if test.high < -margin else "inconclusive"
    return replace(
        untested,
        mean_baseline=sign * float(a.mean()),
        mean_arm=sign * float(b.mean()),
        difference=sign * test.difference,
        standard_error=test.standard_error,
        interval=_in_metric_sign(test.low, test.high, sign),
        p=min(1.0, 2.0 * _upper_tail(abs(test.difference), test.standard_error, test.degrees_of_freedom)),
        margin_p=margin_p,
        conclusion=conclusion,
        seed_error=test.seed_error,
    )


def _in_metric_sign(low: float, high: float, sign: float) -> tuple[float, float] | None:
    """Return the interval in the metric's own sign; None if an end is infinite."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return (low, high) if sign > 0 else (-high, -low)


def _upper_tail(value: float, error: float, freedom: float) -> float:
    return float(special.stdtr(freedom, -value / error))
