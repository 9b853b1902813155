"""Corrections of p-values for multiple tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from harness.stats.clustered import FloatArray


def holm(p_values: npt.ArrayLike, family: int | None = None) -> FloatArray:
    """Return Holm's step-down p-values, which control the family-wise error rate.

    In ascending order, the k-th of m p-values is multiplied by m - k + 1; then each is raised to the largest before it
    and cut at 1 (Holm 1979, Scandinavian Journal of Statistics 6): 0.01, 0.03, 0.04 become 0.03, 0.06, 0.06.

    Args:
        p_values: The p-values to correct.
        family: Number of all tests m, if more were made than are given; the others count as larger.

    Raises:
        ValueError: Not one-dimensional, NaN, outside 0..1, or a family smaller than the number of p-values.
    """
    p = _as_p_values(p_values)
    tests = _family(p, family)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * (tests - np.arange(p.size)))
    return _restore(np.minimum(stepped, 1.0), order)


def benjamini_hochberg(p_values: npt.ArrayLike, family: int | None = None) -> FloatArray:
    """Return Benjamini and Hochberg's step-up p-values, which control the false discovery rate.

    In ascending order, the k-th of m p-values is multiplied by m / k, then lowered to the smallest after it (Benjamini
    and Hochberg 1995, JRSS B 57). `family` as in `holm`.

    Raises:
        ValueError: Not one-dimensional, NaN, outside 0..1, or a family smaller than the number of p-values.
    """
    p = _as_p_values(p_values)
    tests = _family(p, family)
    order = np.argsort(p, kind="stable")
    stepped = np.minimum.accumulate((p[order] * tests / np.arange(1, p.size + 1))[::-1])[::-1]
    return _restore(np.minimum(stepped, 1.0), order)


def hochberg(p_values: npt.ArrayLike) -> FloatArray:
    """Return Hochberg's step-up p-values, which control the family-wise error rate of independent tests.

    In descending order, the k-th p-value is multiplied by k, then lowered to the smallest before it (Hochberg 1988,
    Biometrika 75): 0.01, 0.03, 0.04 become 0.03, 0.04, 0.04. So if all p-values are at most 5%, all corrected ones are.
    It also holds for tests that depend on each other positively (Sarkar 1998, Annals of Statistics 26).

    Raises:
        ValueError: Not one-dimensional, NaN, or outside 0..1.
    """
    p = _as_p_values(p_values)
    order = np.argsort(-p, kind="stable")
    stepped = np.minimum.accumulate(p[order] * np.arange(1, p.size + 1))
    return _restore(np.minimum(stepped, 1.0), order)


CORRECTIONS: dict[str, Callable[[npt.ArrayLike, int | None], FloatArray]] = {"holm": holm, "bh": benjamini_hochberg}


def correct(p_values: npt.ArrayLike, method: str = "holm", family: int | None = None) -> FloatArray:
    """Correct p-values by the named method, ``holm`` or ``bh``; `family` as in `holm`.

    Raises:
        ValueError: An unknown method, or invalid p-values.
    """
    if method not in CORRECTIONS:
        raise ValueError(f"correction {method!r} is unknown; choose one of {', '.join(CORRECTIONS)}.")
    return CORRECTIONS[method](p_values, family)


def _family(p: FloatArray, family: int | None) -> int:
    if family is not None and family < p.size:
        raise ValueError(f"a family of {family} tests cannot hold {p.size} p-values; give the number of all tests.")
    return p.size if family is None else family


def _as_p_values(p_values: npt.ArrayLike) -> FloatArray:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError(f"p-values {p.tolist()} must be a list of numbers from 0 to 1, without NaN.")
    return p


def _restore(ordered: FloatArray, order: npt.NDArray[np.intp]) -> FloatArray:
    restored = np.empty_like(ordered)
    restored[order] = ordered
    return restored
