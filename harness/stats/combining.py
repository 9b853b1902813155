"""Intervals of means of several tasks, joined from the tasks' own, for domains and overall numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A value and its 95% interval.

    Attributes:
        value: The value.
        low: Lower end.
        high: Upper end.
    """

    value: float
    low: float
    high: float

    def centred(self, chance: float) -> Estimate:
        """Return the point on the scale where `chance` is 0 and 1 stays 1."""
        room = 1.0 - chance
        return Estimate(
            value=(self.value - chance) / room, low=(self.low - chance) / room, high=(self.high - chance) / room
        )


def combine_intervals(points: Sequence[Estimate]) -> Estimate:
    """Mean of independent values with its interval.

    MOVER (Zou and Donner 2008, Statistics in Medicine 27): mean - sqrt(sum (value - low)^2) / k, and likewise above. So
    the interval keeps a width where a model has all or nothing right, and of one task it is the task's own.
    """
    count = len(points)
    value = sum(point.value for point in points) / count
    below = math.sqrt(sum((point.value - point.low) ** 2 for point in points)) / count
    above = math.sqrt(sum((point.high - point.value) ** 2 for point in points)) / count
    return Estimate(value=value, low=value - below, high=value + above)
