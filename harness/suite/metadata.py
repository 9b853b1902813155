"""Checks of a task's metadata against its items and metrics, before any model is asked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from harness.errors import TaskError

if TYPE_CHECKING:
    from lm_eval.api.task import Task

BENCHMARK_NEEDS = {"dataset", "task_id"}
BENCHMARK_MAY = {"metric", "percent", "revision"}
HUB_DATASET = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)


def check_metadata(name: str, task: Task) -> None:
    """Check what the evaluation will use. Raises: TaskError: the first fault, with what to correct."""
    for fault in metadata_faults(task):
        raise TaskError(f"task {name}: {fault}; correct it. `harness tasks validate` lists all faults.")


def metadata_faults(task: Task) -> Iterator[str]:
    """Yield why an evaluation of this task would fail, or would use something else than it says."""
    metadata: dict[str, Any] = task.get_config("metadata") or {}
    chance = metadata.get("chance", 0.0)
    if isinstance(chance, bool) or not isinstance(chance, int | float) or not 0 <= chance <= 1:
        yield f"metadata.chance is {chance!r:.40}, must be a number from 0 to 1"
    cluster = metadata.get("cluster")
    docs = task.eval_docs
    if cluster and len(docs) and cluster not in docs[0]:
        yield f"metadata.cluster names the field {cluster!r:.40}, which the items do not have ({', '.join(docs[0])})"
    metrics = [each["metric"] for each in task.get_config("metric_list") or () if isinstance(each.get("metric"), str)]
    named = metadata.get("metric")
    if named is not None and metrics and named not in metrics:
        yield f"metadata.metric is {named!r:.40}, which is none of its metrics ({', '.join(metrics)})"
    if (benchmark := metadata.get("hub_benchmark")) is not None:
        yield from _benchmark_faults(benchmark)
    repeats = task.get_config("repeats") or 1
    for metric in metrics:
        k = metric.removeprefix("pass@")
        if k != metric and k.isdecimal() and int(k) > repeats:
            yield f"the metric {metric} needs {k} samples per item, but repeats is {repeats}"


def _benchmark_faults(benchmark: object) -> Iterator[str]:
    """Yield what is wrong with the hub benchmark that a task names; `harness export --format hub` uses it."""
    if not isinstance(benchmark, dict) or not BENCHMARK_NEEDS <= benchmark.keys() <= BENCHMARK_NEEDS | BENCHMARK_MAY:
        needs, may = (", ".join(sorted(names)) for names in (BENCHMARK_NEEDS, BENCHMARK_MAY))
        yield f"metadata.hub_benchmark is {benchmark!r:.60}, must have {needs}, and may have {may}"
    elif not HUB_DATASET.fullmatch(str(benchmark["dataset"])):
        yield f"metadata.hub_benchmark.dataset is {benchmark['dataset']!r:.60}, must be org/name of a data set"
