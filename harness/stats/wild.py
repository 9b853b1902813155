"""The wild cluster bootstrap: test and interval of a mean over fewer than ten clusters.

To test a mean of m0, each cluster's residual about m0 is multiplied by a random weight, many times, and the studentised
mean of each draw is compared with the observed one. The interval is the set of all m0 that are not rejected, so that it
never disagrees with p. `permutation` serves ten clusters and more.

Cameron, Gelbach and Miller (2008, Review of Economics and Statistics 90); the six weights are Webb's (2023, Canadian
Journal of Economics 56), because two weights give too few different draws.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import numpy as np

from harness.stats.clustered import ClusteredValues, FloatArray, clustered_mean

DRAWS = 1_999
_WEBB = tuple(sign * math.sqrt(size) for sign in (-1.0, 1.0) for size in (0.5, 1.0, 1.5))
# All 6^G draws are enumerated up to this number of clusters: 1,296.
_ENUMERATED_CLUSTERS = 4
_STEPS = 30


def wild_p(grouped: ClusteredValues, null: float) -> float:
    """Return the two-sided p of the null hypothesis that the mean is `null`, for two clusters or more."""
    count = grouped.totals.size
    sizes, totals, sign = _in_order(grouped)
    residuals = totals - sizes * sign * null
    scale = 1.0 / (1.0 - sizes / grouped.values.size)
    weights = _weights(count)
    observed = abs(float(_studentised(np.ones((1, count)), residuals, sizes, scale)[0]))
    drawn = np.abs(_studentised(weights, residuals, sizes, scale))
    # Draws that differ from the observed value only by rounding count as equal.
    slack = 1e-9 * observed if math.isfinite(observed) else 0.0
    extreme = int((drawn >= observed - slack).sum())
    if count <= _ENUMERATED_CLUSTERS:
        return extreme / drawn.size
    return (extreme + 1) / (drawn.size + 1)


def wild_interval(
    grouped: ClusteredValues, level: float, bounds: tuple[float, float], anchor: float = 0.0
) -> tuple[float, float]:
    """Return all means that `wild_p` does not reject at 1 - `level`.

    Args:
        grouped: The values, of two clusters or more.
        level: Coverage, between 0 and 1.
        bounds: Smallest and largest possible mean; may be infinite.
        anchor: A null hypothesis about which the interval must agree with `wild_p`.
    """

    def rejects(null: float) -> bool:
        return wild_p(grouped, null) <= 1.0 - level

    mean = grouped.mean
    ends = []
    for bound in bounds:
        on_this_side = (anchor < mean) == (bound < mean)
        inside, outside = mean, bound
        if on_this_side and rejects(anchor):
            outside = anchor
        elif on_this_side and bounds[0] <= anchor <= bounds[1]:
            inside = anchor
        ends.append(_end(rejects, inside, outside, clustered_mean(grouped).standard_error))
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


def _in_order(grouped: ClusteredValues) -> tuple[FloatArray, FloatArray, float]:
    """Return sizes, totals and their sign in an order that depends on neither labels nor the sign of the difference.

    The random weights belong to positions. So the same clusters in another order, or the two models swapped, must not
    give another p.
    """
    one = sorted(zip(grouped.sizes.tolist(), grouped.totals.tolist(), strict=True))
    other = sorted(zip(grouped.sizes.tolist(), (-grouped.totals).tolist(), strict=True))
    ordered = np.array(max(one, other))
    return ordered[:, 0], ordered[:, 1], 1.0 if one >= other else -1.0


def _studentised(weights: FloatArray, residuals: FloatArray, sizes: FloatArray, scale: FloatArray) -> FloatArray:
    """The mean of each draw over its clustered error: 0 if both are 0, infinite if only the error is."""
    items = float(sizes.sum())
    means = weights @ residuals / items
    squares = weights**2 @ (scale * residuals**2)
    cross = weights @ (scale * residuals * sizes)
    variance = squares - 2.0 * means * cross + means**2 * float((scale * sizes**2).sum())
    known = variance > 1e-12 * np.maximum(squares, 1e-300)
    limits = np.where(np.abs(means) * items <= 1e-12 * np.abs(residuals).sum(), 0.0, np.copysign(np.inf, means))
    return np.asarray(np.where(known, means * items / np.sqrt(np.where(known, variance, 1.0)), limits))


@functools.lru_cache(maxsize=16)
def _weights(clusters: int) -> FloatArray:
    if clusters <= _ENUMERATED_CLUSTERS:
        return np.array(list(itertools.product(_WEBB, repeat=clusters)))
    return np.random.default_rng(clusters).choice(np.array(_WEBB), size=(DRAWS, clusters))
