"""The common beginning of two sequences: of texts, tokens or messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def common_prefix_length(first: Sequence[Any], second: Sequence[Any]) -> int:
    """Return how many leading members two sequences of one type share."""
    # Halving the range compares slices, which is much faster than a loop over a long text.
    low, high = 0, min(len(first), len(second))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if first[:middle] == second[:middle] else (low, middle - 1)
    return low
