"""Intervals of one model's mean on one task, each computed once per report.

The leaderboard, the charts and the table of values need the same intervals, and each takes a bootstrap unless all
values are 0 or 1.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from harness import stats
from harness.metric_ranges import range_of

FloatArray = npt.NDArray[np.float64]


class IntervalCache:
    """Computes intervals and keeps them for the next request with the same values and clusters."""

    def __init__(self) -> None:
        self._intervals: dict[bytes, stats.Interval] = {}

    def interval(self, metric: str, values: FloatArray, clusters: npt.NDArray[np.str_] | None) -> stats.Interval:
        """Return `stats.interval` of the values, within the possible range of the metric.

        Args:
            metric: Name of the metric, with or without its filter.
            values: Shape (items,).
            clusters: Label of each item; None when the task has no clusters.
        """
        # The key is the content and its order, not the array: two views of one task's values are different arrays,
        # and the same values in another order give another bootstrap.
        digest = hashlib.blake2b(np.ascontiguousarray(values).tobytes())
        if clusters is not None:
            digest.update(str(clusters.dtype).encode())
            digest.update(np.ascontiguousarray(clusters).tobytes())
        key = digest.digest()
        if key not in self._intervals:
            self._intervals[key] = stats.interval(values, clusters)
        return self._intervals[key].within(range_of(metric.partition(",")[0]).limits(values))
