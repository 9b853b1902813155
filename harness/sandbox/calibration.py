"""How much slower this machine runs Python than the machine that time limits refer to."""

from __future__ import annotations

import functools
import time

REFERENCE_SECONDS = 0.02  # CPU time of `_work` with CPython 3.11 on one core of a server of 2023


def _work() -> float:
    """CPU seconds of a fixed piece of interpreter work: calls, arithmetic, a dictionary, a list."""
    began = time.process_time()
    table: dict[int, int] = {}
    for i in range(100_000):
        table[i & 1023] = table.get(i & 511, 0) + i % 7
    sorted(table.values())
    return time.process_time() - began


@functools.cache
def slowdown() -> float:
    """Factor for time limits, at least 1; measured once per process, as the best of three."""
    return max(1.0, min(_work() for _ in range(3)) / REFERENCE_SECONDS)
