"""Differences by domain and overall, from the differences of the tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.reports.analysis.differences import OVERALL, DomainDifference, TaskDifference
from harness.reports.analysis.pairing import CONTROLS
from harness.stats import aggregate
from harness.stats.combining import Estimate, combine_intervals


def overall(differences: Sequence[TaskDifference]) -> tuple[DomainDifference, ...]:
    """Return mean chance-centred differences. Control domains count only if there is no reasoning domain."""
    on_scale = [one for one in differences if _is_on_scale(one)]
    rows = [one for one in on_scale if one.domain not in CONTROLS] or on_scale
    if not rows:
        return ()
    # A difference of 0.10 with chance 0.50 is a fifth of what is left above guessing: 0.10 / (1 - 0.50) = 0.20.
    # Chance itself cancels in a difference, so only the division remains.
    spans = [1.0 - one.chance for one in rows]
    total = aggregate(
        [one.difference / span for one, span in zip(rows, spans, strict=True)],
        [one.standard_error / span for one, span in zip(rows, spans, strict=True)],
        [one.domain for one in rows],
        [0.0 for _ in rows],
    )
    by_domain = {
        part.domain: combine_intervals([_centred(one) for one in rows if one.domain == part.domain])
        for part in total.domains
    }
    domains = [
        DomainDifference(
            domain=part.domain,
            tasks=part.tasks,
            difference=part.centred,
            standard_error=part.centred_error,
            interval=(by_domain[part.domain].low, by_domain[part.domain].high),
        )
        for part in total.domains
    ]
    whole = combine_intervals(list(by_domain.values()))
    return (
        *domains,
        DomainDifference(
            domain=OVERALL,
            tasks=len(rows),
            difference=total.centred,
            standard_error=total.centred_error,
            interval=(whole.low, whole.high),
        ),
    )


def _is_on_scale(difference: TaskDifference) -> bool:
    """Whether a task can be part of the overall value: it was tested, and its scale is 0 to 1 with more is better."""
    values = (difference.mean_baseline, difference.mean_arm)
    return difference.p is not None and difference.higher_is_better and all(0.0 <= value <= 1.0 for value in values)


def _centred(one: TaskDifference) -> Estimate:
    low, high = one.interval or (-math.inf, math.inf)
    span = 1.0 - one.chance
    return Estimate(value=one.difference / span, low=low / span, high=high / span)
