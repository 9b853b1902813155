"""Score intervals for shares: Wilson's for one, Tango's for the difference of two on the same items.

Formulas only, vectorised over numpy arrays and open to effective (fractional) counts; which to use is decided in
`intervals` and `paired`.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from harness.stats.samples import FloatArray

# Halvings of an interval of length 2 until it is shorter than the rounding of a double near 1.
_BISECTIONS = 54


def wilson_interval(
    share: npt.ArrayLike, size: npt.ArrayLike, quantile: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Wilson's (1927, JASA 22) score interval of a share.

    The set of p0 with |share - p0| <= q sqrt(p0 (1 - p0) / size); it never leaves 0..1 nor shrinks to a point.

    Args:
        share: Observed share, 0..1.
        size: Number of items, or the effective number under clustering.
        quantile: Two-sided normal or t quantile, such as 1.96.

    Returns:
        Lower and upper ends, of the broadcast shape.
    """
    p, n, q = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (share, size, quantile)))
    shrink = 1.0 + q**2 / n
    centre = (p + q**2 / (2.0 * n)) / shrink
    half = q / shrink * np.sqrt(p * (1.0 - p) / n + q**2 / (4.0 * n**2))
    # Rounding must not push the ends past what the formula gives exactly at p = 0 and p = 1.
    low = np.where(p <= 0.0, 0.0, np.minimum(centre - half, p))
    high = np.where(p >= 1.0, 1.0, np.maximum(centre + half, p))
    return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)


def paired_score(gained: npt.ArrayLike, lost: npt.ArrayLike, items: npt.ArrayLike, null: npt.ArrayLike) -> FloatArray:
    """Tango's (1998, Statistics in Medicine 17) score statistic of a paired difference of shares against `null`.

    z = (gained - lost - n d0) / sqrt(n (2 q + d0 (1 - d0))), where q is the most likely chance of a lost item when the
    difference is d0: the larger root of 2 n q^2 + ((2 n - gained + lost) d0 - gained - lost) q - lost d0 (1 - d0) = 0.
    At d0 = 0 it is McNemar's statistic (gained - lost) / sqrt(gained + lost).

    Args:
        gained: Items that only the second model has right.
        lost: Items that only the first model has right.
        items: All items, the agreed ones too.
        null: The difference d0 under test, -1..1.

    Returns:
        The statistic; positive when the observed difference lies above `null`; 0 where nothing contradicts it.
    """
    b, c, n, d = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (gained, lost, items, null)))
    linear = (2.0 * n - b + c) * d - b - c
    constant = -c * d * (1.0 - d)
    chance_lost = (np.sqrt(np.maximum(linear**2 - 8.0 * n * constant, 0.0)) - linear) / (4.0 * n)
    variance = n * (2.0 * chance_lost + d * (1.0 - d))
    surplus = b - c - n * d
    certain = np.where(np.abs(surplus) < 1e-9 * n, 0.0, np.copysign(np.inf, surplus))
    return np.where(variance > 1e-12 * n, surplus / np.sqrt(np.maximum(variance, 1e-300)), certain)


def paired_score_interval(
    gained: npt.ArrayLike, lost: npt.ArrayLike, items: npt.ArrayLike, quantile: npt.ArrayLike
) -> tuple[FloatArray, FloatArray]:
    """Tango's (1998) score interval of a paired difference of shares, by bisection.

    The set of differences that `paired_score` does not reject; it keeps a width when the models agree on every item.

    Args:
        gained: Items that only the second model has right; may be effective counts.
        lost: Items that only the first model has right.
        items: All items.
        quantile: Two-sided normal or t quantile.

    Returns:
        Lower and upper ends of second minus first, of the broadcast shape.
    """
    b, c, n, q = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (gained, lost, items, quantile)))
    return -_upper_end(c, b, n, q), _upper_end(b, c, n, q)


def _upper_end(gained: FloatArray, lost: FloatArray, items: FloatArray, quantile: FloatArray) -> FloatArray:
    inside = (gained - lost) / items
    outside = np.ones_like(inside)
    for _ in range(_BISECTIONS):
        middle = (inside + outside) / 2.0
        rejected = paired_score(gained, lost, items, middle) < -quantile
        inside, outside = np.where(rejected, inside, middle), np.where(rejected, middle, outside)
    return inside
