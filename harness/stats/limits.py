"""The possible range of a difference of limited values: no interval and no effect goes beyond it.

total_limits([(-0.5, 0.5), (-0.5, 0.5)])        # (-1, 1): two tasks of accuracies, each of weight 1/2
within(tested, 0.2, (-1.0, 1.0))                # its interval cut to -1 to 1
possible_effect(2.1, (-1.0, 1.0))               # infinite: no difference of accuracies is that large
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from harness.stats.wild import TestedMean

Limits = tuple[float, float]
"""Smallest and largest possible value; infinite if values are not limited."""
UNLIMITED: Limits = (-math.inf, math.inf)


def total_limits(tasks: Sequence[Limits | None]) -> Limits:
    """Return the limits of a sum over tasks; infinite if those of a task are unknown."""
    known = [one for one in tasks if one is not None]
    if len(known) < len(tasks):
        return UNLIMITED
    return sum(low for low, _ in known), sum(high for _, high in known)


def within(tested: TestedMean, mean: float, limits: Limits) -> TestedMean:
    """Return the test with its interval cut to the limits; it still contains the observed mean."""
    if limits == UNLIMITED:
        return tested
    return replace(tested, low=min(mean, max(tested.low, limits[0])), high=max(mean, min(tested.high, limits[1])))


def possible_effect(effect: float, limits: Limits) -> float:
    """Return a detectable effect; infinite if no effect is that large."""
    return math.inf if effect > max(abs(end) for end in limits) else effect
