"""Bootstrap draws as matrices of counts, in blocks of bounded size.

Two resamples of three units, drawn 0 0 2 and 1 2 2, are the rows ``2 0 1`` and ``0 1 2``. The resampled sums of all
resamples are then one matrix product ``counts @ values``, much faster than indexing each resample. No statistic is
computed here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

# Cells of one block: 16 MB of float64. Small enough for the processor's cache, large enough to amortise numpy calls.
BLOCK_CELLS = 2_000_000
# Draws up to this size (one byte per cell) are cached for the next task or model with the same number of units.
_CACHED_CELLS = 20_000_000


def block_rows(columns: int, rows: int) -> Iterator[int]:
    """Yield the numbers of rows of blocks with at most `BLOCK_CELLS` cells, at least one row each."""
    step = max(1, BLOCK_CELLS // max(1, columns))
    for start in range(0, rows, step):
        yield min(step, rows - start)


def bootstrap_counts(units: int, resamples: int, rng: np.random.Generator) -> Iterator[npt.NDArray[np.intp]]:
    """Draw `units` of `units` with replacement, `resamples` times.

    Yields:
        Blocks of shape (rows, units): the number of times each unit was drawn; each row sums to `units`.
    """
    for rows in block_rows(units, resamples):
        drawn = rng.integers(0, units, size=(rows, units), dtype=np.int32).astype(np.intp)
        drawn += np.arange(rows)[:, None] * units
        yield np.bincount(drawn.ravel(), minlength=rows * units).reshape(rows, units)


def repeatable_counts(units: int, resamples: int, seed: int) -> Iterator[npt.NDArray[np.float64]]:
    """Yield `bootstrap_counts` from `seed`, as floats; the draws are cached for samples of the same number of units.

    Do not sum over tasks: two tasks with the same number of units get the same draws.
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
    # With 256 units or more, the probability that a unit is drawn more than 255 times is below 1e-100.
    return np.concatenate([np.minimum(block, 255).astype(np.uint8) for block in blocks])
