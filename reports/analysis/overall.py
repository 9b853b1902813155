"""Differences by domain and overall, from those of the tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.reports.analysis.differences import OVERALL, DomainDifference, TaskDifference
from harness.reports.analysis.pairing import CONTROLS
from harness.stats import aggregate
from harness.stats.combining import Estimate, combine_intervals


def overall(differences: Sequence[TaskDifference]) -> tuple[DomainDifference, ...]:
    """Mean chance-centred differences; over reasoning domains where there are any: the others are controls."""
    counted = [one for one in differences if _counts(one)]
    rows = [one for one in counted if one.domain not in CONTROLS] or counted
    if not rows:
        return ()
    rooms = [1.0 - one.chance for one in rows]
    total = aggregate(
        [one.difference / room for one, room in zip(rows, rooms, strict=True)],
        [one.standard_error / room for one, room in zip(rows, rooms, strict=True)],
        [one.domain for one in rows],
        [0.0 for _ in rows],
    )
    points = {
        part.domain: combine_intervals([_centred(one) for one in rows if one.domain == part.domain])
        for part in total.domains
    }
    found = [
        DomainDifference(
            domain=part.domain,
            tasks=part.tasks,
            difference=part.centred,
            standard_error=part.centred_error,
            interval=(points[part.domain].low, points[part.domain].high),
        )
        for part in total.domains
    ]
    whole = combine_intervals(list(points.values()))
    return (
        *found,
        DomainDifference(
            domain=OVERALL,
            tasks=len(rows),
            difference=total.centred,
            standard_error=total.centred_error,
            interval=(whole.low, whole.high),
        ),
    )


def _counts(difference: TaskDifference) -> bool:
    """Whether a task is part of the overall number: its values lie on a scale from 0 to 1, more is better."""
    values = (difference.mean_baseline, difference.mean_arm)
    return difference.p is not None and difference.higher_is_better and all(0.0 <= value <= 1.0 for value in values)


def _centred(one: TaskDifference) -> Estimate:
    low, high = one.interval or (-math.inf, math.inf)
    room = 1.0 - one.chance
    return Estimate(value=one.difference / room, low=low / room, high=high / room)
