"""The wild cluster bootstrap: test and interval of a mean over fewer than ten clusters.

To test a mean of m0, each cluster's residual about m0 is multiplied by a random weight, many times, and the studentised
mean of each draw is compared with the observed one. The interval is the set of all m0 that are not rejected, so that it
never disagrees with p. `permutation` serves ten clusters and more.

A contrast of several training runs has a second source of error. Its variance is added to that of each draw, and a
normal deviation with this variance to the mean of each draw; only the clusters, the dimension that is too small for
t-quantiles, are resampled (as MacKinnon, Nielsen and Webb 2021, Journal of Business and Economic Statistics 39, do for
two crossed dimensions).

Cameron, Gelbach and Miller (2008, Review of Economics and Statistics 90); the six weights are Webb's (2023, Canadian
Journal of Economics 56), because two weights give too few different draws.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.stats.clustered import FEW_CLUSTERS, ClusteredValues, FloatArray, clustered_mean

DRAWS = 1_999
_WEBB = tuple(sign * math.sqrt(size) for sign in (-1.0, 1.0) for size in (0.5, 1.0, 1.5))
# All 6^G draws are enumerated up to this number of clusters: 1,296.
_ENUMERATED_CLUSTERS = 4
_STEPS = 30


@dataclass(frozen=True, kw_only=True, slots=True)
class TestedMean:
    """The interval and the two-sided p of one mean.

    Attributes:
        low: Lower end.
        high: Upper end.
        p: Two-sided, of the tested mean, which is 0 by default.
    """

    low: float
    high: float
    p: float


def needs_wild_bootstrap(grouped: ClusteredValues) -> bool:
    """Return whether the clusters are too few for t-quantiles, and differ, so that resampling them says something."""
    few = grouped.has_clusters and 2 <= grouped.totals.size < FEW_CLUSTERS
    return few and bool((grouped.totals != 0.0).any())


def widened(
    student: TestedMean, grouped: ClusteredValues, other_variance: float, level: float, null: float = 0.0
) -> TestedMean:
    """Return the more cautious of Student's t and the wild bootstrap: the larger p and all means that either accepts.

    The bootstrap takes `other_variance` as known, while the degrees of freedom of Student's t allow for its error.

    Args:
        student: By Student's t.
        grouped: The items' values, whose mean is tested.
        other_variance: Variance of the mean from training runs.
        level: Coverage of the interval.
        null: The mean that both p test, in agreement with the interval.
    """
    low, high = wild_interval(grouped, level, (-math.inf, math.inf), null, other_variance)
    p = wild_p(grouped, null, other_variance)
    return TestedMean(low=min(student.low, low), high=max(student.high, high), p=max(student.p, p))


def wild_p(grouped: ClusteredValues, null: float, other_variance: float = 0.0) -> float:
    """Return the two-sided p of the null hypothesis that the mean is `null`, for two clusters or more.

    Args:
        grouped: The values.
        null: The mean to test.
        other_variance: Variance of the mean from another, independent source, such as training runs.
    """
    return _Draws.of(grouped, other_variance).p(null)


def wild_interval(
    grouped: ClusteredValues,
    level: float,
    bounds: tuple[float, float],
    anchor: float = 0.0,
    other_variance: float = 0.0,
) -> tuple[float, float]:
    """Return all means that `wild_p` does not reject at 1 - `level`.

    Args:
        grouped: The values, of two clusters or more.
        level: Coverage, between 0 and 1.
        bounds: Smallest and largest possible mean; may be infinite.
        anchor: A null hypothesis about which the interval must agree with `wild_p`.
        other_variance: As in `wild_p`.
    """
    draws = _Draws.of(grouped, other_variance)

    def rejects(null: float) -> bool:
        return draws.p(null) <= 1.0 - level

    mean, step = grouped.mean, math.hypot(clustered_mean(grouped).standard_error, math.sqrt(other_variance))
    ends = []
    for bound in bounds:
        on_this_side = (anchor < mean) == (bound < mean)
        inside, outside = mean, bound
        if on_this_side and rejects(anchor):
            outside = anchor
        elif on_this_side and bounds[0] <= anchor <= bounds[1]:
            inside = anchor
        ends.append(_end(rejects, inside, outside, step))
    return ends[0], ends[1]


def _end(rejects: Callable[[float], bool], inside: float, outside: float, step: float) -> float:
    """Return the last accepted mean between one that is accepted and one that may be rejected, by bisection."""
    sign = math.copysign(1.0, outside - inside)
    if math.isinf(outside):
        width = max(step, 1e-12)
        outside = inside + sign * width
        while not rejects(outside):
            width *= 2.0
            if width > 1e6 * max(step, 1e-12):
                return sign * math.inf
            outside = inside + sign * width
    elif not rejects(outside):
        return outside
    for _ in range(_STEPS):
        middle = (inside + outside) / 2.0
        inside, outside = (inside, middle) if rejects(middle) else (middle, outside)
    return inside


def _in_order(grouped: ClusteredValues) -> tuple[FloatArray, FloatArray, tuple[float, ...]]:
    """Return sizes, totals and their sign in an order that depends on neither labels nor the sign of the difference.

    The random weights belong to positions. So the same clusters in another order, or the two models swapped, must not
    give another p. Clusters that are their own mirror image, such as totals -1 0 1, have both signs.
    """
    one = sorted(zip(grouped.sizes.tolist(), grouped.totals.tolist(), strict=True))
    other = sorted(zip(grouped.sizes.tolist(), (-grouped.totals).tolist(), strict=True))
    ordered = np.array(max(one, other))
    return ordered[:, 0], ordered[:, 1], (1.0, -1.0) if one == other else (1.0,) if one > other else (-1.0,)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Draws:
    """Sums over clusters of each draw, from which its studentised mean under any null hypothesis follows quickly.

    Row 0 has weights of 1 and no noise: the observed values. A cluster's residual is total - size x null, so sums of
    residuals are linear in the null and sums of their squares quadratic.

    Attributes:
        signs: The null hypothesis is multiplied by each, and the largest p counts; see `_in_order`.
        items: Number of items.
        linear: Sums of weight x total, size, scale x total x size and scale x size^2, shape (4, draws).
        quadratic: Sums of weight^2 x scale x total^2, total x size and size^2, shape (3, draws).
        noise: Deviation of each mean from the other source of error, shape (draws,).
        other_variance: Variance of that deviation.
        exact: Whether the draws are all possible draws.
    """

    signs: tuple[float, ...]
    items: float
    linear: FloatArray
    quadratic: FloatArray
    noise: FloatArray
    other_variance: float
    exact: bool

    @classmethod
    def of(cls, grouped: ClusteredValues, other_variance: float) -> _Draws:
        """Multiply the clusters by the weights of all draws."""
        sizes, totals, signs = _in_order(grouped)
        count, items = sizes.size, float(sizes.sum())
        scale = 1.0 / (1.0 - sizes / items)
        weights = np.concatenate([np.ones((1, count)), _weights(count)])
        linear = np.stack([totals, sizes, scale * totals * sizes, scale * sizes**2])
        quadratic = scale * np.stack([totals**2, totals * sizes, sizes**2])
        return cls(
            signs=signs,
            items=items,
            linear=linear @ weights.T,
            quadratic=quadratic @ (weights**2).T,
            noise=math.sqrt(other_variance) * np.concatenate([[0.0], _normals(weights.shape[0] - 1)]),
            other_variance=other_variance,
            exact=count <= _ENUMERATED_CLUSTERS and other_variance == 0.0,
        )

    def p(self, null: float) -> float:
        """Return the share of draws that are at least as far from 0 as the observed value."""
        return max(self._p(sign * null) for sign in self.signs)

    def _p(self, null: float) -> float:
        size = np.abs(self._studentised(null))
        observed, drawn = float(size[0]), size[1:]
        # Draws that differ from the observed value only by rounding count as equal.
        slack = 1e-9 * observed if math.isfinite(observed) else 0.0
        extreme = int((drawn >= observed - slack).sum())
        return extreme / drawn.size if self.exact else (extreme + 1) / (drawn.size + 1)

    def _studentised(self, null: float) -> FloatArray:
        """The mean of each draw, plus its noise, over its error: 0 if all are 0, infinite if only the error is."""
        total, size, total_size, size_size = self.linear
        means = (total - null * size) / self.items
        squares = self.quadratic[0] - 2.0 * null * self.quadratic[1] + null**2 * self.quadratic[2]
        variance = squares - 2.0 * means * (total_size - null * size_size) + means**2 * size_size[0]
        rounding = 1e-12 * np.maximum(self.quadratic[0] + null**2 * self.quadratic[2], 1e-300)
        variance = np.maximum(variance, 0.0) + self.other_variance * self.items**2
        known, shifted = variance > rounding, means + self.noise
        zero = (shifted * self.items) ** 2 <= rounding
        limits = np.where(zero, 0.0, np.copysign(np.inf, shifted))
        return np.asarray(np.where(known, shifted * self.items / np.sqrt(np.where(known, variance, 1.0)), limits))


@functools.lru_cache(maxsize=16)
def _weights(clusters: int) -> FloatArray:
    if clusters <= _ENUMERATED_CLUSTERS:
        return np.array(list(itertools.product(_WEBB, repeat=clusters)))
    return np.random.default_rng(clusters).choice(np.array(_WEBB), size=(DRAWS, clusters))


@functools.lru_cache(maxsize=16)
def _normals(draws: int) -> FloatArray:
    return np.random.default_rng(draws).standard_normal(draws)
