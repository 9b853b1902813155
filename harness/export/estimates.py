"""A metric of a run with its uncertainty, as every report of this project states it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from harness.metric_ranges import range_of
from harness.records import TaskRun
from harness.records.frames import averaged_items
from harness.stats import estimate_mean, interval
from harness.stats.combining import error_with_ties


@dataclass(frozen=True, kw_only=True)
class MetricEstimate:
    """A value with its standard error and 95% interval.

    Attributes:
        value: As recorded.
        items: Items in the value.
        error: Standard error; None if there is none.
        error_method: ``analytic``, ``cluster-robust`` or ``bootstrap``; empty without an error.
        low: Lower end of the 95% interval; None if there is none.
        high: Its upper end.
        interval_method: See docs/statistics.md; empty without an interval.
    """

    value: float
    items: int
    error: float | None
    error_method: str
    low: float | None = None
    high: float | None = None
    interval_method: str = ""


def estimate(run: TaskRun, key: str) -> MetricEstimate:
    """Return the estimate of a metric, given as ``name,filter``.

    A mean over items gets this project's clustered error and interval; another metric, such as perplexity, keeps
    lm-eval's bootstrapped error, and has no interval.
    """
    items = averaged_items(run, key)
    if items is None:
        recorded = run.stderrs[key]
        rows = run.items.rows(key.partition(",")[2]).size
        return MetricEstimate(
            value=run.metrics[key],
            items=rows,
            error=recorded,
            error_method="" if recorded is None else "bootstrap",
        )
    values, clusters = items
    bounds = interval(values, clusters).within(range_of(key.partition(",")[0]).limits(values))
    error = error_with_ties(float(estimate_mean(values, clusters).standard_error), bounds.high - bounds.low)
    bounded = math.isfinite(bounds.low) and math.isfinite(bounds.high)
    method = "analytic" if clusters is None else "cluster-robust"
    return MetricEstimate(
        value=run.metrics[key],
        items=int(values.size),
        error=error if math.isfinite(error) else None,
        error_method=method if math.isfinite(error) else "",
        low=float(bounds.low) if bounded else None,
        high=float(bounds.high) if bounded else None,
        interval_method=bounds.method if bounded else "",
    )
