"""From lm-eval's results to the few numbers that people read first: one per task, one per domain, one overall."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.evaluation.requests import TaskRequests
from harness.evaluation.samples import ScoredItem
from harness.evaluation.scoring import Scores, Tally
from harness.metric_ranges import range_of
from harness.records.run_folder import TaskRecord
from harness.stats import aggregate, aggregate_weights, estimate_mean, interval
from harness.stats.clustered import FloatArray
from harness.stats.combining import Estimate, combine_correlated, covariance_with_ties, error_with_ties
from harness.stats.item_sets import ItemLabels, correlation_of, covariance_of_errors, units_of_tasks
from harness.suite.chance import chance_of
from harness.suite.definitions import DOMAINS

if TYPE_CHECKING:
    from lm_eval.api.task import Task

UNSUPPORTED = "unsupported"  # status of a program whose tests the sandbox does not support
UNPARSED = "unparsed"  # metric that is 1 for an answer without a readable choice


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemValues:
    """The headline metric of each item of a task.

    Attributes:
        values: One number per item.
        labels: What identifies the items.
    """

    values: Sequence[float]
    labels: ItemLabels


def task_record(name: str, task: Task, scores: Scores, requests: TaskRequests, tally: Tally) -> TaskRecord:
    """Summarise one task.

    Args:
        name: The task's name.
        task: lm-eval's task object; its `metadata` names domain, chance level and headline metric.
        scores: The scores of all tasks.
        requests: The task's requests.
        tally: Their counts by outcome.
    """
    metadata = task.get_config("metadata") or {}
    values = scores.results["results"].get(name, {})
    metric = headline_metric(values, metadata.get("metric"))
    rows = scores.items.get(name, ())
    stderr, ends, method = _number(values.get(metric.replace(",", "_stderr,", 1))), None, "none"
    items = item_values(name, task, scores)
    if items is not None:
        # lm-eval's own error takes items as independent. Reports use the clustered one, so the record does too.
        limits = range_of(metric.partition(",")[0]).limits(items.values)
        bounds = interval(items.values, items.labels.clusters).within(limits)
        error = estimate_mean(items.values, items.labels.clusters).standard_error
        stderr = _number(error_with_ties(error, bounds.high - bounds.low))
        ends, method = (bounds.low, bounds.high), bounds.method
    counts = asdict(tally)
    counts["items_scored"] -= _left_out(rows, metric)
    return TaskRecord(
        domain=str(metadata.get("domain", "")),
        chance=chance_of(task, metric.partition(",")[0], set(requests.items)),
        metric=metric,
        value=_number(values.get(metric)),
        stderr=stderr,
        interval=ends,
        interval_method=method,
        items_from=str(metadata.get("items_from") or ""),
        unparsed=_unparsed(rows),
        unsupported=_unsupported(rows),
        failures=counts.pop("reasons"),
        **counts,
    )


def headline_metric(values: Mapping[str, Any], chosen: str | None = None) -> str:
    """Return the metric a table shows, as ``name,filter``: the one the task names, else its first."""
    metrics = [key for key in values if "," in key and "_stderr," not in key]
    named = [key for key in metrics if key.split(",")[0] == chosen]
    return next(iter(named or metrics), "")


def _number(value: Any) -> float | None:
    """lm-eval writes "N/A" where there is no standard error."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def item_values(name: str, task: Task, scores: Scores, key: str = "") -> ItemValues | None:
    """Return a metric of each item; None if it is not a mean over items, such as perplexity.

    Args:
        name: The task's name.
        task: lm-eval's task object; its `metadata` names cluster field and headline metric.
        scores: The scores of all tasks.
        key: The metric, as ``name,filter``; empty for the headline one.
    """
    metadata = task.get_config("metadata") or {}
    values = scores.results["results"].get(name, {})
    metric, _, filter_name = (key or headline_metric(values, metadata.get("metric"))).partition(",")
    value = _number(values.get(f"{metric},{filter_name}"))
    rows = [row for row in scores.items.get(name, ()) if row.filter == filter_name]
    kept = [(position, row) for position, row in enumerate(rows) if not _is_left_out(row)]
    numbers = [v for v in (_number(row.values.get(metric)) for _, row in kept) if v is not None]
    if value is None or not numbers or len(numbers) < len(kept):
        return None
    if not math.isclose(sum(numbers) / len(numbers), value, rel_tol=1e-9, abs_tol=1e-12):
        return None
    labels = ItemLabels(
        docs=[row.doc_hash for _, row in kept],
        positions=[position for position, _ in kept],
        rows=len(rows),
        clusters=[row.cluster for _, row in kept] if metadata.get("cluster") else None,
    )
    return ItemValues(values=numbers, labels=labels)


def _unparsed(rows: Sequence[ScoredItem]) -> int | None:
    """Number of items marked as unparsed, under the first filter that marks any."""
    marked = [row for row in rows if UNPARSED in row.values]
    if not marked:
        return None
    return sum(bool(row.values[UNPARSED]) for row in marked if row.filter == marked[0].filter)


def _unsupported(rows: Sequence[ScoredItem]) -> int | None:
    """Number of programs whose tests the sandbox does not support; None for a task without programs."""
    if not any(row.statuses for row in rows):
        return None
    return sum(status == UNSUPPORTED for row in rows for status in row.statuses)


def _left_out(rows: Sequence[ScoredItem], metric: str) -> int:
    filter_name = metric.partition(",")[2]
    return sum(row.filter == filter_name and _is_left_out(row) for row in rows)


def _is_left_out(row: ScoredItem) -> bool:
    """Return whether all programs of a sample are unsupported, so that it has no value."""
    return bool(row.statuses) and all(status == UNSUPPORTED for status in row.statuses)


def _is_share(record: TaskRecord) -> bool:
    assert record.value is not None
    return 0.0 <= record.value <= 1.0 and not record.metric.startswith("bleu")


def aggregates(records: Mapping[str, TaskRecord], items: Mapping[str, ItemValues | None]) -> dict[str, Any]:
    """Return means by domain and overall, with the version of their definition; empty when no task names a domain.

    A task counts when it names a domain and its headline value is a share; BLEU, from 0 to 100, is not. The domain
    ``general`` shows negative transfer: it has a mean of its own and does not enter the overall reasoning mean.

    Args:
        records: By task.
        items: By task, the values of its items; they give the covariance of variants of the same items.
    """
    counted = [name for name, r in records.items() if r.domain and r.value is not None and _is_share(r)]
    reasoning = [name for name in counted if records[name].domain in DOMAINS and records[name].domain != "general"]
    parts = {"reasoning": reasoning, "other": [name for name in counted if name not in reasoning]}
    return {kind: _aggregate(names, records, items) for kind, names in parts.items() if names}


def _aggregate(
    names: Sequence[str], records: Mapping[str, TaskRecord], items: Mapping[str, ItemValues | None]
) -> dict[str, Any]:
    rows = [records[name] for name in names]
    sets = [row.items_from or name for name, row in zip(names, rows, strict=True)]
    errors = np.array([math.nan if row.stderr is None else row.stderr for row in rows])
    covariance = covariance_of_errors(errors, sets)
    known = [(at, one) for at, name in enumerate(names) if (one := items[name]) is not None]
    at, own_sets = [index for index, _ in known], [sets[index] for index, _ in known]
    units = units_of_tasks(own_sets, [one.labels for _, one in known])
    covariance[np.ix_(at, at)] = covariance_with_ties([np.array(one.values) for _, one in known], units, own_sets)
    domains, chances = [r.domain for r in rows], [r.chance for r in rows]
    total = asdict(aggregate([float(row.value or 0.0) for row in rows], covariance, domains, chances, sets))
    means = _Means(rows=rows, sets=sets, correlation=correlation_of(covariance, sets))
    return _with_intervals(total, means)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Means:
    """Tasks with the names of their item sets and the correlation of their values."""

    rows: Sequence[TaskRecord]
    sets: Sequence[str]
    correlation: FloatArray

    def of(self, domain: str) -> _Means:
        """Return the tasks of a domain."""
        at = [index for index, row in enumerate(self.rows) if row.domain == domain]
        return _Means(
            rows=[self.rows[index] for index in at],
            sets=[self.sets[index] for index in at],
            correlation=self.correlation[np.ix_(at, at)],
        )

    def interval(self, *, centred: bool) -> tuple[float, float] | None:
        """Return the interval of the mean over domains, combined from those of the tasks; None if one has none."""
        ends = [row.interval or (-math.inf, math.inf) for row in self.rows]
        chances = [row.chance if centred else 0.0 for row in self.rows]
        estimates = [
            Estimate(value=float(row.value or 0.0), low=low, high=high).centred(chance)
            for row, (low, high), chance in zip(self.rows, ends, chances, strict=True)
        ]
        weights = aggregate_weights([row.domain for row in self.rows], [0.0] * len(self.rows), self.sets)
        one = combine_correlated(estimates, weights, self.correlation)
        return (one.low, one.high) if math.isfinite(one.low) and math.isfinite(one.high) else None


def _with_intervals(total: dict[str, Any], means: _Means) -> dict[str, Any]:
    """Return the aggregate with the intervals of its means, raw and chance-centred."""
    domains = [one | _intervals(means.of(one["domain"])) for one in total["domains"]]
    return total | _intervals(means) | {"domains": domains}


def _intervals(means: _Means) -> dict[str, Any]:
    return {"mean_interval": means.interval(centred=False), "centred_interval": means.interval(centred=True)}
