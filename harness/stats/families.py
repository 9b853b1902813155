"""Families of tests with levels that are compared with one reference: Dunnett's p, and Holm over such sets.

    p = dunnett_p([2.1, 1.4], correlation, df=9.0)  # two levels against the reference
    holm_over_sets([[0.01], [0.02, 0.4]])           # one single test and one set of two; the set's p are Dunnett's

`corrections` has Holm and Benjamini-Hochberg for plain lists.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats

from harness.stats.clustered import FloatArray


def dunnett_p(t_values: npt.ArrayLike, correlation: npt.ArrayLike, df: float) -> FloatArray:
    """Return p-values of several levels against one reference, corrected for their number.

    p_j = P(max_i |T_i| >= |t_j|), where T has the multivariate t distribution of the estimates' correlation (Dunnett
    1955, JASA 50; Hothorn, Bretz and Westfall 2008, Biometrical Journal 50). The levels share the reference, and here
    also items and pre-training runs, so that the correlation comes from the data. `scipy.stats.dunnett` gives the same
    for independent groups of one variance.

    Args:
        t_values: Estimate over standard error of each level, shape (levels,).
        correlation: Of the estimates, shape (levels, levels).
        df: Degrees of freedom, at least 1.

    Raises:
        ValueError: The shapes differ, or `df` is below 1.
    """
    t = np.abs(np.asarray(t_values, dtype=np.float64))
    matrix = np.asarray(correlation, dtype=np.float64)
    if t.ndim != 1 or matrix.shape != (t.size, t.size) or not df >= 1.0:
        raise ValueError(
            f"{t.size} t-values, correlation of shape {matrix.shape}, df {df}: give one row and column per level."
        )
    if t.size == 1:
        return np.array([min(1.0, 2.0 * float(stats.t.sf(t[0], df)))])
    shape = _positive(matrix)
    inside = [
        stats.multivariate_t.cdf(bound, shape=shape, df=df, lower_limit=-bound, random_state=0)  # type: ignore[arg-type]
        for bound in (np.full(t.size, one) for one in t)
    ]
    return np.clip(1.0 - np.array(inside), 0.0, 1.0)


def _positive(correlation: FloatArray) -> FloatArray:
    """Return the nearest-by-eigenvalues correlation matrix: parts that were estimated apart may not fit together."""
    values, vectors = np.linalg.eigh((correlation + correlation.T) / 2.0)
    fixed = (vectors * np.maximum(values, 1e-9)) @ vectors.T
    scale = np.sqrt(fixed.diagonal())
    result: FloatArray = fixed / np.outer(scale, scale)
    return result


def holm_over_sets(sets: Sequence[Sequence[float]]) -> list[list[float]]:
    """Correct over several sets of p-values; those within a set are corrected for its size already.

    Holm's step-down over m sets: after k sets are rejected as a whole, any p may be multiplied by m - k instead of m.
    Sets of one p each give Holm's values; a true null hypothesis is rejected with at most the level's probability,
    because the sets rejected as a whole before the first such hypothesis hold none.

    Example: [[0.01], [0.02, 0.4]] becomes [[0.02], [0.02, 0.4]]: after the first set is rejected, one set is left.

    Args:
        sets: p-values of each set, none empty.
    """
    order = sorted(range(len(sets)), key=lambda i: max(sets[i]))
    corrected: list[list[float]] = [[] for _ in sets]
    rejected_at = [0.0]  # smallest level at which the first k sets are rejected as a whole
    for k, index in enumerate(order):
        rejected_at.append(max(rejected_at[-1], min(1.0, max(sets[index]) * (len(sets) - k))))
        corrected[index] = [
            min(1.0, min(max(rejected_at[i], p * (len(sets) - i)) for i in range(k + 1))) for p in sets[index]
        ]
    return corrected
