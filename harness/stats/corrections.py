"""Corrected p-values for looking at many tasks at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harness.stats.clustered import FloatArray


def holm(p_values: npt.ArrayLike, family: int | None = None) -> FloatArray:
    """Holm's (1979, Scandinavian Journal of Statistics 6) step-down p-values: the chance of any false alarm is kept.

    Sorted ascending, the k-th of m is multiplied by m - k + 1, made monotone and cut at 1.

    Args:
        p_values: Those at hand.
        family: How many tests were looked at in all, m; those that are not at hand count as larger. By default none.

    Raises:
        ValueError: Not one-dimensional, NaN, outside 0..1, or a family smaller than the tests at hand.
    """
    p = _as_p_values(p_values)
    tests = _family(p, family)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (tests - np.arange(p.size)))
    return _restore(np.minimum(stepped, 1.0), order)


def benjamini_hochberg(p_values: npt.ArrayLike, family: int | None = None) -> FloatArray:
    """Benjamini and Hochberg's (1995, JRSS B 57) step-up p-values: the expected share of false alarms is kept.

    Sorted ascending, the k-th of m is multiplied by m / k and made monotone from above. `family` as in `holm`.

    Raises:
        ValueError: Not one-dimensional, NaN, outside 0..1, or a family smaller than the tests at hand.
    """
    p = _as_p_values(p_values)
    tests = _family(p, family)
    order = np.argsort(p, kind="stable")
    stepped = np.minimum.accumulate((p[order] * tests / np.arange(1, p.size + 1))[::-1])[::-1]
    return _restore(np.minimum(stepped, 1.0), order)


CORRECTIONS: dict[str, Callable[[npt.ArrayLike, int | None], FloatArray]] = {"holm": holm, "bh": benjamini_hochberg}


def correct(p_values: npt.ArrayLike, method: str = "holm", family: int | None = None) -> FloatArray:
    """Corrected p-values by name: ``holm`` (default) or ``bh``; `family` as in `holm`.

    Raises:
        ValueError: An unknown method, or p-values that are none.
    """
    if method not in CORRECTIONS:
        raise ValueError(f"correction {method!r} is unknown; choose one of {', '.join(CORRECTIONS)}.")
    return CORRECTIONS[method](p_values, family)


def _family(p: FloatArray, family: int | None) -> int:
    if family is not None and family < p.size:
        raise ValueError(f"a family of {family} tests cannot hold {p.size}; give the number of all tests looked at.")
    return p.size if family is None else family


def _as_p_values(p_values: npt.ArrayLike) -> FloatArray:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError(f"p-values {p.tolist()} must be one list of numbers from 0 to 1, without NaN.")
    return p


def _restore(ordered: FloatArray, order: npt.NDArray[np.intp]) -> FloatArray:
    restored = np.empty_like(ordered)
    restored[order] = ordered
    return restored
