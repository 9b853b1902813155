"""From lm-eval's results to the few numbers that people read first: one per task, one per domain, one overall."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from harness.evaluation.requests import TaskRequests
from harness.evaluation.scoring import Tally
from harness.records.run_folder import TaskRecord
from harness.stats import Aggregate, Interval, aggregate, estimate_mean, interval
from harness.suite.chance import chance_of
from harness.suite.definitions import DOMAINS

if TYPE_CHECKING:
    from lm_eval.api.task import Task

UNSUPPORTED = "unsupported"  # status of a program whose tests the sandbox does not support
UNPARSED = "unparsed"  # metric that is 1 for an answer without a readable choice


def task_record(name: str, task: Task, results: Mapping[str, Any], requests: TaskRequests, tally: Tally) -> TaskRecord:
    """Summarise one task.

    Args:
        name: The task's name.
        task: lm-eval's task object; its `metadata` names domain, chance level, cluster field and headline metric.
        results: What lm-eval's `evaluate` returned.
        requests: The task's requests.
        tally: Their counts by outcome.
    """
    metadata = task.get_config("metadata") or {}
    values = results["results"].get(name, {})
    samples = results.get("samples", {}).get(name, [])
    metric = headline_metric(values, metadata.get("metric"))
    value = _number(values.get(metric))
    spread = _spread(samples, metric, value, metadata.get("cluster"))
    counts = asdict(tally)
    counts["items_scored"] -= _left_out(samples, metric)
    return TaskRecord(
        domain=str(metadata.get("domain", "")),
        chance=chance_of(task, metric.partition(",")[0], set(requests.items)),
        metric=metric,
        value=value,
        stderr=_number(values.get(metric.replace(",", "_stderr,", 1))) if spread is None else spread[0],
        interval=None if spread is None else (spread[1].low, spread[1].high),
        interval_method="none" if spread is None else spread[1].method,
        items_from=str(metadata.get("items_from") or ""),
        unparsed=_unparsed(samples),
        unsupported=_unsupported(samples),
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


def _spread(
    samples: Sequence[Mapping[str, Any]], metric: str, value: float | None, cluster: str | None
) -> tuple[float | None, Interval] | None:
    """Clustered standard error and interval of a metric that is a mean over items; perplexity, say, has none.

    lm-eval's own error takes items as independent. Reports use the clustered one, so the record does too.
    """
    name, _, filter_name = metric.partition(",")
    rows = [row for row in samples if row["filter"] == filter_name and not _is_left_out(row)]
    per_item = [_number(row.get(name)) for row in rows]
    numbers = [v for v in per_item if v is not None]
    if value is None or not numbers or len(numbers) < len(rows):
        return None
    if not math.isclose(sum(numbers) / len(numbers), value, rel_tol=1e-9, abs_tol=1e-12):
        return None
    clusters = [str(row["doc"][cluster]) for row in rows] if cluster else None
    return _number(estimate_mean(numbers, clusters).standard_error), interval(numbers, clusters)


def _unparsed(samples: Sequence[Mapping[str, Any]]) -> int | None:
    """Number of items marked as unparsed, under the first filter that marks any."""
    rows = [row for row in samples if UNPARSED in row]
    if not rows:
        return None
    return sum(bool(row[UNPARSED]) for row in rows if row["filter"] == rows[0]["filter"])


def _unsupported(samples: Sequence[Mapping[str, Any]]) -> int | None:
    """Number of programs whose tests the sandbox does not support; None for a task without programs."""
    statuses = [_statuses(row) for row in samples]
    if not any(statuses):
        return None
    return sum(status == UNSUPPORTED for ended in statuses for status in ended)


def _statuses(row: Mapping[str, Any]) -> list[str]:
    """Return the status of each program of a sample, as `suite.code_filter` recorded it; empty if there are none."""
    answers = row.get("filtered_resps")
    first = answers[0] if isinstance(answers, list) and answers else None
    return list(first.get("status") or ()) if isinstance(first, dict) else []


def _left_out(samples: Sequence[Mapping[str, Any]], metric: str) -> int:
    filter_name = metric.partition(",")[2]
    return sum(row["filter"] == filter_name and _is_left_out(row) for row in samples)


def _is_left_out(row: Mapping[str, Any]) -> bool:
    """Return whether all programs of a sample are unsupported, so that it has no value."""
    statuses = _statuses(row)
    return bool(statuses) and all(status == UNSUPPORTED for status in statuses)


def _is_share(record: TaskRecord) -> bool:
    assert record.value is not None
    return 0.0 <= record.value <= 1.0 and not record.metric.startswith("bleu")


def aggregates(records: Mapping[str, TaskRecord]) -> dict[str, Any]:
    """Return means by domain and overall, with the version of their definition; empty when no task names a domain.

    A task counts when it names a domain and its headline value is a share; BLEU, from 0 to 100, is not. The domain
    ``general`` shows negative transfer: it has a mean of its own and does not enter the overall reasoning mean.
    """
    counted = [r for r in records.values() if r.domain and r.value is not None and _is_share(r)]
    reasoning = [r for r in counted if r.domain in DOMAINS and r.domain != "general"]
    others = [r for r in counted if r not in reasoning]
    names = {id(record): name for name, record in records.items()}
    sets = {id(record): record.items_from or names[id(record)] for record in counted}
    parts = (("reasoning", reasoning), ("other", others))
    means = {kind: _aggregate(rows, [sets[id(row)] for row in rows]) for kind, rows in parts if rows}
    return {kind: asdict(mean) for kind, mean in means.items()}


def _aggregate(rows: Sequence[TaskRecord], item_sets: Sequence[str]) -> Aggregate:
    return aggregate(
        [float(row.value or 0.0) for row in rows],
        [math.nan if row.stderr is None else row.stderr for row in rows],
        [row.domain for row in rows],
        [row.chance for row in rows],
        item_sets,
    )
