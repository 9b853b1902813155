"""The test of one task: between two runs, or two arms of several seeds. `harness.stats` computes all numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from harness.reports.analysis.differences import TaskDifference
from harness.reports.analysis.pairing import Paired
from harness.reports.analysis.value_limits import item_limits
from harness.stats import TaskScores, compare_over_tasks, compare_paired, non_inferiority
from harness.stats.clustered import cluster_codes
from harness.stats.combining import error_with_ties
from harness.stats.limits import Limits
from harness.stats.noninferiority import both_sides
from harness.stats.runs import Plots


@dataclass(frozen=True, kw_only=True)
class RunsOfArms:
    """How the rows of `Paired.values` are grouped.

    Attributes:
        of_baseline: Number of rows that are the baseline's; the rest are the arm's.
        plots: The pre-training run of each row; None if each has its own.
        separable: Whether both arms have two pre-training runs or more.
    """

    of_baseline: int
    plots: Plots | None = None
    separable: bool = True


def paired_test(untested: TaskDifference, paired: Paired, margin: float | None, resamples: int) -> TaskDifference:
    """Return `untested` with the test of two runs filled in: rows 0 and 1 of `paired`."""
    # Tests assume that more is better, so a loss such as perplexity is negated and its results are turned back:
    #     perplexity 12 -> 10: tested as -12 -> -10, a gain of 2; reported as a difference of -2.
    sign = 1.0 if untested.higher_is_better else -1.0
    a, b = paired.values * sign
    test = compare_paired(a, b, paired.clusters, resamples=resamples)
    least, most = _limits(untested, paired)
    harm = non_inferiority(a, b, margin=margin, clusters=paired.clusters) if margin else None
    return replace(
        untested,
        clusters=test.clusters,
        mean_baseline=sign * test.mean_a,
        mean_arm=sign * test.mean_b,
        difference=sign * test.difference,
        standard_error=error_with_ties(test.standard_error, test.high - test.low),
        interval=_in_metric_sign(max(test.low, least - most), min(test.high, most - least), sign),
        p=test.p,
        p_exact=test.p_exact,
        detectable=test.minimum_detectable_effect,
        degrees_of_freedom=test.degrees_of_freedom if paired.clusters is not None else math.inf,
        gained=test.gained,
        lost=test.lost,
        margin_p=harm.p if harm else None,
        inferior_p=harm.p_inferior if harm else None,
        conclusion=harm.conclusion if harm else "",
    )


def runs_test(untested: TaskDifference, paired: Paired, runs: RunsOfArms, margin: float | None) -> TaskDifference:
    """Return `untested` with the test of two arms of several runs filled in.

    Interval and all p come from one test: Student's t of the difference over its standard error of items and runs, with
    the wild bootstrap in fewer than ten clusters.
    """
    sign = 1.0 if untested.higher_is_better else -1.0
    a, b = paired.values[: runs.of_baseline] * sign, paired.values[runs.of_baseline :] * sign
    with_means = replace(
        untested,
        mean_baseline=sign * float(a.mean()),
        mean_arm=sign * float(b.mean()),
        difference=sign * float(b.mean() - a.mean()),
        conclusion="inconclusive" if margin else "",
    )
    one_unit = paired.clusters is not None and len(set(paired.clusters.tolist())) < 2
    if paired.values.shape[1] < 2 or one_unit or not runs.separable:
        return with_means
    units = None if paired.clusters is None else cluster_codes(paired.clusters, a.shape[1])
    limits = _limits(untested, paired)
    scores = [TaskScores(a=a, b=b, units=units, span=limits if all(map(math.isfinite, limits)) else None)]
    test = compare_over_tasks(scores, runs.plots)
    if not test.high > test.low:
        return replace(with_means, p=1.0 if with_means.difference == 0.0 else None)
    margin_p, inferior_p = None, None
    if margin:
        at_margin = compare_over_tasks(scores, runs.plots, null=-margin)
        margin_p, inferior_p = both_sides(at_margin.p, test.difference + margin)
    return replace(
        with_means,
        difference=sign * test.difference,
        standard_error=test.standard_error,
        interval=_in_metric_sign(test.low, test.high, sign),
        p=test.p,
        detectable=test.minimum_detectable_effect,
        degrees_of_freedom=test.degrees_of_freedom,
        margin_p=margin_p,
        inferior_p=inferior_p,
        seed_error=test.seed_error,
    )


def _limits(untested: TaskDifference, paired: Paired) -> Limits:
    """Return the smallest and the largest value of an item as it is tested: a share of losses is from -1 to 0."""
    least, most = item_limits(untested.metric, paired.values, is_loss=not untested.higher_is_better)
    return (least, most) if untested.higher_is_better else (-most, -least)


def _in_metric_sign(low: float, high: float, sign: float) -> tuple[float, float] | None:
    """Return the interval in the metric's own sign; None if an end is infinite."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return (low, high) if sign > 0 else (-high, -low)
