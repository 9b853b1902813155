"""Intervals of means of several tasks, combined from the tasks' own: for domains and the overall value."""

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
        """Return the estimate on the scale where `chance` is 0 and 1 stays 1."""
        span = 1.0 - chance
        return Estimate(
            value=(self.value - chance) / span, low=(self.low - chance) / span, high=(self.high - chance) / span
        )


def combine_intervals(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean of independent values with its interval.

    MOVER (Zou and Donner 2008, Statistics in Medicine 27): the lower end is mean - sqrt(sum (value - low)^2) / k, the
    upper end likewise. Unlike mean +- 1.96 standard errors, the interval keeps its width when a model has every item
    right or none, where the standard error is 0; for one task it is the task's own interval.

    Args:
        estimates: At least one.
    """
    # Two tasks: 0.50 (0.40 to 0.60) and 1.00 (0.90 to 1.00): the mean is 0.75.
    # Below: sqrt(0.1^2 + 0.1^2) / 2 = 0.07; above: sqrt(0.1^2 + 0.0^2) / 2 = 0.05; so 0.68 to 0.80.
    count = len(estimates)
    value = sum(one.value for one in estimates) / count
    below = math.sqrt(sum((one.value - one.low) ** 2 for one in estimates)) / count
    above = math.sqrt(sum((one.high - one.value) ** 2 for one in estimates)) / count
    return Estimate(value=value, low=value - below, high=value + above)
