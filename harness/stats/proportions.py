"""Score intervals for proportions: Wilson's for one, Tango's for the difference of two on the same items.

Formulas only. Counts may be fractional, for effective sizes. `intervals` and `paired` decide which formula to use.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy import optimize

from harness.stats.clustered import FloatArray


def wilson_interval(
    share: npt.ArrayLike, size: npt.ArrayLike, quantile: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Return Wilson's (1927, JASA 22) score interval of a proportion.

    The set of p0 with |share - p0| <= q sqrt(p0 (1 - p0) / size). It stays within 0..1 and is never a point.

    Args:
        share: Observed proportion, 0..1.
        size: Number of items, or the effective number with clusters.
        quantile: Two-sided normal or t quantile, such as 1.96.

    Returns:
        Lower and upper ends, of the broadcast shape.
    """
    p, n, q = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (share, size, quantile)))
    shrink = 1.0 + q**2 / n
    centre = (p + q**2 / (2.0 * n)) / shrink
    half = q / shrink * np.sqrt(p * (1.0 - p) / n + q**2 / (4.0 * n**2))
    # At p = 0 and p = 1 the formula gives exactly 0 and 1; rounding must not move those ends.
    low = np.where(p <= 0.0, 0.0, np.minimum(centre - half, p))
    high = np.where(p >= 1.0, 1.0, np.maximum(centre + half, p))
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def paired_score(gained: float, lost: float, items: float, null: float) -> float:
    """Return Tango's (1998, Statistics in Medicine 17) score statistic of a paired difference of proportions.

    z = (gained - lost - n d0) / sqrt(n (2 q + d0 (1 - d0))), where d0 is `null` and q the maximum likelihood estimate
    of the probability of a lost item given a difference of d0: the larger root of 2 n q^2 + ((2 n - gained + lost) d0 -
    gained - lost) q - lost d0 (1 - d0) = 0. At d0 = 0 it is McNemar's statistic (gained - lost) / sqrt(gained + lost).

    Args:
        gained: Items that only the second model has right; may be an effective count.
        lost: Items that only the first model has right.
        items: All items, including those with equal answers.
        null: The difference d0 to test, -1..1.

    Returns:
        The statistic; positive if the observed difference is above `null`, 0 if it is equal.
    """
    surplus = gained - lost - items * null
    variance = _null_variance(gained, lost, items, null)
    if variance > 1e-12 * items:
        return surplus / math.sqrt(variance)
    return 0.0 if abs(surplus) < 1e-9 * items else math.copysign(math.inf, surplus)


def paired_score_interval(gained: float, lost: float, items: float, quantile: float) -> tuple[float, float]:
    """Return Tango's (1998) interval of a paired difference of proportions: all nulls that `paired_score` accepts.

    It is not a point even if the models agree on every item.

    Args:
        gained: Items that only the second model has right; may be an effective count.
        lost: Items that only the first model has right.
        items: All items.
        quantile: Two-sided normal or t quantile.

    Returns:
        Lower and upper end of the difference, second model minus first.
    """
    return -_upper_end(lost, gained, items, quantile), _upper_end(gained, lost, items, quantile)


def _null_variance(gained: float, lost: float, items: float, null: float) -> float:
    linear = (2.0 * items - gained + lost) * null - gained - lost
    constant = -lost * null * (1.0 - null)
    chance_lost = (math.sqrt(max(linear**2 - 8.0 * items * constant, 0.0)) - linear) / (4.0 * items)
    return items * (2.0 * chance_lost + null * (1.0 - null))


def _upper_end(gained: float, lost: float, items: float, quantile: float) -> float:
    """The null above the observed difference at which surplus^2 = quantile^2 x variance."""
    observed = (gained - lost) / items

    def excess(null: float) -> float:
        surplus = gained - lost - items * null
        return surplus**2 - quantile**2 * _null_variance(gained, lost, items, null)

    # Start slightly above the observed difference: if the models agree on every item, it is a root itself.
    start = observed + 1e-12
    if start >= 1.0 or excess(start) >= 0.0:
        return min(observed, 1.0)
    return float(optimize.brentq(excess, start, 1.0, xtol=1e-15))
