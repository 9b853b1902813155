"""Corrected p-values for looking at many tasks at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harness.stats.samples import FloatArray


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Holm's (1979, Scandinavian Journal of Statistics 6) step-down p-values: the chance of any false alarm is kept.

    Sorted ascending, the k-th of m is multiplied by m - k + 1, made monotone and cut at 1.

    Raises:
        ValueError: Not one-dimensional, NaN, or outside 0..1.
    """
    p = _as_p_values(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    return _restore(np.minimum(stepped, 1.0), order)


def benjamini_hochberg(p_values: npt.ArrayLike) -> FloatArray:
    """Benjamini and Hochberg's (1995, JRSS B 57) step-up p-values: the expected share of false alarms is kept.

    Sorted ascending, the k-th of m is multiplied by m / k and made monotone from above.

    Raises:
        ValueError: Not one-dimensional, NaN, or outside 0..1.
    """
    p = _as_p_values(p_values)
    order = np.argsort(p, kind="stable")
    stepped = np.minimum.accumulate((p[order] * p.size / np.arange(1, p.size + 1))[::-1])[::-1]
    return _restore(np.minimum(stepped, 1.0), order)


CORRECTIONS: dict[str, Callable[[npt.ArrayLike], FloatArray]] = {"holm": holm, "bh": benjamini_hochberg}


def correct(p_values: npt.ArrayLike, method: str = "holm") -> FloatArray:
    """Corrected p-values by name: ``holm`` (default) or ``bh``.

    Raises:
        ValueError: An unknown method, or p-values that are none.
    """
    if method not in CORRECTIONS:
        raise ValueError(f"correction {method!r} is unknown; choose one of {', '.join(CORRECTIONS)}.")
    return CORRECTIONS[method](p_values)


def _as_p_values(p_values: npt.ArrayLike) -> FloatArray:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError(f"p-values {p.tolist()} must be one list of numbers from 0 to 1, without NaN.")
    return p


def _restore(ordered: FloatArray, order: npt.NDArray[np.intp]) -> FloatArray:
    restored = np.empty_like(ordered)
    restored[order] = ordered
    return restored
