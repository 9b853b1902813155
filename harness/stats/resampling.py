"""Bootstrap draws as matrices of counts, a bounded block at a time, so that a resampled mean is a matrix product.

No statistic is computed here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

# Cells of one block: 16 MB of float64, small enough to stay near the cache and large enough to amortise numpy.
BLOCK_CELLS = 2_000_000
# Draws up to this size (one byte a cell) are kept for the next task or model with as many units.
_CACHED_CELLS = 20_000_000


def block_rows(columns: int, rows: int) -> Iterator[int]:
    """Split `rows` into blocks of at most `BLOCK_CELLS` cells (at least one row each)."""
    step = max(1, BLOCK_CELLS // max(1, columns))
    for start in range(0, rows, step):
        yield min(step, rows - start)


def bootstrap_counts(units: int, resamples: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.intp]]:
    """Draw `units` of `units` with replacement, `resamples` times.

    Yields:
        Blocks of shape (rows, units): how often each unit was drawn; each row sums to `units`.
    """
    for rows in block_rows(units, resamples):
        drawn = rng.integers(0, units, size=(rows, units), dtype=np.int32).astype(np.intp)
        drawn += np.arange(rows)[:, None] * units
        yield np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)


def repeatable_counts(units: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.float64]]:
    """As `bootstrap_counts` from `seed`, as floats; drawn once for many samples of the same number of units.

    Not for sums over tasks: two tasks with as many units get the same draws.
    """
    if units * resamples > _CACHED_CELLS:
        for block in bootstrap_counts(units, resamples, np.random.default_rng(seed)):
            yield block.astype(np.float64)
        return
    counts = _cached_counts(units, resamples, seed)
    start = 0
    for rows in block_rows(units, resamples):
        yield counts[start : start + rows].astype(np.float64)
        start += rows


@functools.lru_cache(maxsize=4)
def _cached_counts(units: int, resamples: int, seed: int) -> npt.NDArray[np.uint8]:
    blocks = bootstrap_counts(units, resamples, np.random.default_rng(seed))
    # The chance that one unit is drawn more than 255 times is below 1e-100 for 256 units and more.
    return np.concatenate([np.minimum(block, 255).astype(np.uint8) for block in blocks])
