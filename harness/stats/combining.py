"""Intervals of means of several tasks, combined from the tasks' own: for domains and the overall value.

Of single runs; several runs of a recipe are compared in `runs`, because one run answers all tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.stats.clustered import FloatArray


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
    count = len(estimates)
    return combine_correlated(estimates, np.full(count, 1.0 / count), np.eye(count))


def combine_correlated(estimates: Sequence[Estimate], weights: FloatArray, correlation: FloatArray) -> Estimate:
    """Return the weighted sum of values with its interval, as `combine_intervals` does for independent values.

    With the distances d_k = weight x (value - low), the lower end is value - sqrt(sum_jk correlation_jk d_j d_k), the
    upper end likewise (Zou 2008, American Journal of Epidemiology 168, for correlated values).

    Args:
        estimates: At least one.
        weights: One per value, shape (values,).
        correlation: Of the values, shape (values, values).
    """
    # Two tasks: 0.50 (0.40 to 0.60) and 1.00 (0.90 to 1.00): the mean is 0.75.
    # Below: sqrt(0.1^2 + 0.1^2) / 2 = 0.07; above: sqrt(0.1^2 + 0.0^2) / 2 = 0.05; so 0.68 to 0.80.
    value = float(sum(weight * one.value for weight, one in zip(weights, estimates, strict=True)))
    if not all(math.isfinite(one.low) and math.isfinite(one.high) for one in estimates):
        return Estimate(value=value, low=-math.inf, high=math.inf)
    below = weights * np.array([one.value - one.low for one in estimates])
    above = weights * np.array([one.high - one.value for one in estimates])
    return Estimate(
        value=value,
        low=value - math.sqrt(max(0.0, float(below @ correlation @ below))),
        high=value + math.sqrt(max(0.0, float(above @ correlation @ above))),
    )


def implied_p(estimate: Estimate) -> float:
    """Return the two-sided p of a difference of 0 that agrees with a 95% interval: at most 0.05 if 0 is outside.

    The distance from the value to the end on the side of 0 is taken as 1.96 standard errors.
    """
    distance = estimate.value - estimate.low if estimate.value > 0.0 else estimate.high - estimate.value
    if estimate.value == 0.0 or not distance > 0.0 or math.isinf(distance):
        return 1.0
    return 2.0 * float(special.ndtr(-abs(estimate.value) / distance * _Z95))


_Z95 = float(special.ndtri(0.975))
