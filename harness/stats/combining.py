"""Intervals and errors of means of several tasks, from the tasks' own: for domains and the overall value.

Of single runs; several runs of a recipe are compared in `runs`, because one run answers all tasks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from harness.stats.clustered import FloatArray
from harness.stats.intervals import interval
from harness.stats.item_sets import Units, correlation_of, covariance_of_means


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


def error_with_ties(error: float, width: float) -> float:
    """Return a standard error; if it is 0, because all items agree, half the width of the 95% interval over 1.96."""
    return width / 2.0 / _Z95 if error == 0.0 and math.isfinite(width) else error


def covariance_with_ties(values: Sequence[FloatArray], units: Sequence[Units], sets: Sequence[str]) -> FloatArray:
    """Return `item_sets.covariance_of_means`, with an error for tasks in which all answers are right, or all wrong.

    The clustered error of such a task is 0, although its value is not known exactly: Wilson's interval of 20 right
    answers of 20 is 0.84 to 1. See `error_with_ties`.

    Args:
        values: For each task, one number per item.
        units: For each task, the independent unit of each item.
        sets: For each task, the name of its item set.
    """
    ends = [interval(own, unit) if np.ptp(own) == 0.0 else None for own, unit in zip(values, units, strict=True)]
    widths = [math.nan if one is None else one.high - one.low for one in ends]
    return with_errors_of_ties(covariance_of_means(values, units, sets), widths, sets)


def with_errors_of_ties(covariance: FloatArray, widths: Sequence[float], sets: Sequence[str]) -> FloatArray:
    """Return a covariance whose errors are those of `error_with_ties`.

    Within an item set, a task without spread counts as fully correlated with the others, because nothing is known.

    Args:
        covariance: Of the tasks' means or differences, shape (tasks, tasks).
        widths: Of the tasks' 95% intervals; those that are not finite change nothing.
        sets: For each task, the name of its item set.
    """
    known = np.sqrt(covariance.diagonal())
    errors = np.array([error_with_ties(float(error), width) for error, width in zip(known, widths, strict=True)])
    if np.array_equal(known, errors, equal_nan=True):
        return covariance
    return np.asarray(correlation_of(covariance, sets) * np.outer(errors, errors), dtype=np.float64)


def implied_p(estimate: Estimate) -> float:
    """Return the two-sided p of a difference of 0 that agrees with a 95% interval: at most 0.05 if 0 is outside.

    The distance from the value to the end on the side of 0 is taken as 1.96 standard errors.
    """
    distance = estimate.value - estimate.low if estimate.value > 0.0 else estimate.high - estimate.value
    if estimate.value == 0.0 or not distance > 0.0 or math.isinf(distance):
        return 1.0
    return 2.0 * float(special.ndtr(-abs(estimate.value) / distance * _Z95))


_Z95 = float(special.ndtri(0.975))
