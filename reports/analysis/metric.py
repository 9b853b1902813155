"""Another metric in place of the headline one, for `--metric`: recorded, or from the gold answer's likelihood.

    gold_log_likelihood   log-likelihood of the right choice, in nats; higher is better
    bits_per_byte         -log2 of its likelihood, per UTF-8 byte of the continuation; lower is better

A recorded `bits_per_byte` is taken as it is: this project's tasks count the bytes of the continuation without its
delimiter. Otherwise it is computed from the continuation as it was sent: a delimiter, often a space, counts too.

Both change smoothly with a model, so they tell small models apart long before accuracy does.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from harness.errors import RecordError
from harness.records import ModelRecords, TaskRun, read_samples
from harness.records.samples import Sample
from harness.reports.analysis.value_limits import are_shares

GOLD, BITS = "gold_log_likelihood", "bits_per_byte"
LOG_LIKELIHOODS = (GOLD, "gold_logprob")
Direction = tuple[str, bool]
"""A metric's name, and whether more is better."""


def with_metric(models: Sequence[ModelRecords], metric: str | None) -> tuple[list[ModelRecords], list[str]]:
    """Return the models with this headline metric, and notes on tasks that do not have it; None changes nothing.

    Chance becomes 0 except for accuracies: the other metrics have no known value of guessing.

    Args:
        models: With their items read.
        metric: ``gold_log_likelihood``, ``bits_per_byte`` or the name of a recorded metric.

    Raises:
        RecordError: No task has the metric.
    """
    if metric is None:
        return list(models), []
    tasks = dict.fromkeys(task for model in models for task in model.tasks)
    changed: dict[tuple[str, str], TaskRun] = {}
    for model in models:
        for task, run in model.tasks.items():
            other = _with_metric(run, metric)
            if other is not None:
                changed[model.name, task] = other
    lacking = [task for task in tasks if any((m.name, task) not in changed for m in models if task in m.tasks)]
    kept = [task for task in tasks if task not in lacking]
    if not kept:
        recorded = sorted({key.partition(",")[0] for m in models for run in m.tasks.values() for key in run.metrics})
        raise RecordError(
            f"--metric {metric}: no task has it; give {GOLD} or {BITS} (tasks with choices), or one of "
            f"{', '.join(recorded)}."
        )
    notes = [f"Left out, without {metric}: {', '.join(lacking)}."] if lacking else []
    return [
        replace(model, tasks={task: changed[model.name, task] for task in model.tasks if task in kept})
        for model in models
    ], notes


def direction(models: Sequence[ModelRecords]) -> str:
    """Return the metric for a title if smaller values of it are better and all tasks have it; otherwise nothing.

    Example: " by bits_per_byte (lower is better)".
    """
    found = set(directions(models).values())
    if len(found) != 1:
        return ""
    (metric, higher) = found.pop()
    return "" if higher else f" by {metric} (lower is better)"


def directions(models: Sequence[ModelRecords]) -> dict[str, Direction]:
    """Return the direction of each task's metric, by task."""
    return {
        run.task: (run.metric.partition(",")[0], run.higher_is_better) for one in models for run in one.tasks.values()
    }


def judgement(difference: float, metrics: Collection[Direction]) -> str:
    """Return ``better`` or ``worse`` for a difference by a loss or a log-likelihood.

    The sign of other differences, such as of accuracies, says enough: empty. So it is over several metrics.
    """
    if len(set(metrics)) != 1:
        return ""
    ((metric, higher),) = set(metrics)
    if higher and metric not in LOG_LIKELIHOODS:
        return ""
    return "better" if (difference > 0) == higher else "worse"


def with_judgement(difference: float, metrics: Collection[Direction]) -> str:
    """Return a difference as ``+0.022, worse``, or ``+0.022`` if there is no `judgement`."""
    judged = judgement(difference, metrics)
    return f"{difference:+.3f}{', ' if judged else ''}{judged}"


def limited_tasks(models: Sequence[ModelRecords]) -> list[str]:
    """Return the tasks whose values all lie between 0 and 1 and are better if larger, such as accuracies."""
    limited: dict[str, bool] = {}
    for run in (run for one in models for run in one.tasks.values() if run.higher_is_better):
        own = run.headline_values[np.isfinite(run.headline_values)]
        limited[run.task] = limited.get(run.task, True) and are_shares(run.metric, own)
    return [task for task, shares in limited.items() if shares]


def _with_metric(run: TaskRun, metric: str) -> TaskRun | None:
    filter_name = run.metric.partition(",")[2]
    values = {GOLD: _log_likelihood, BITS: _bits_per_byte}
    if metric in values and metric not in run.items.values:
        samples = read_samples(run, {digest.decode() for digest in run.items.doc_hash.tolist()})
        by_digest = {digest: values[metric](sample) for digest, sample in samples.items()}
        column = np.array([by_digest.get(digest.decode(), math.nan) for digest in run.items.doc_hash.tolist()])
        items = replace(run.items, values={**run.items.values, metric: column})
    elif metric in run.items.values:
        items = run.items
    else:
        return None
    chance = run.chance if metric.startswith("acc") else 0.0
    other = replace(run, items=items, metric=f"{metric},{filter_name}", chance=chance)
    known = other.headline_values[np.isfinite(other.headline_values)]
    if not known.size:
        return None
    value = float(known.mean())
    higher = metric != BITS and (run.higher_is_better or metric == GOLD)
    return replace(other, value=value, metrics={**run.metrics, other.metric: value}, higher_is_better=higher)


def _log_likelihood(sample: Sample) -> float:
    return math.nan if sample.key is None or not sample.log_likelihoods else sample.log_likelihoods[sample.key]


def _bits_per_byte(sample: Sample) -> float:
    if sample.key is None or not sample.log_likelihoods:
        return math.nan
    size = len(sample.continuations[sample.key].encode())
    return -sample.log_likelihoods[sample.key] / (math.log(2) * size) if size else math.nan
