"""The size of an evaluation before there is a checkpoint: requests, items and clusters of each task.

Finds wrong task names and missing data as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.evaluation.requests import TaskRequests, build
from harness.evaluation.run import load_tasks
from harness.evaluation.spec import EvaluationSpec, options_in_force

if TYPE_CHECKING:
    from lm_eval.api.task import Task


@dataclass(frozen=True, kw_only=True)
class TaskSize:
    """The size of a task, the same for each model.

    Attributes:
        requests: One or more per item.
        items: Number of items.
        items_without_limit: The same if the evaluation had no limit.
        clusters: Groups of items about the same text or from the same template; equal to `items` if there are none.
        chance: Expected score of guessing.
        domain: Its domain; the task itself if it has none.
        items_from: Name of its items, shared by variants of one benchmark; the task itself if they are its own.
        metrics: Names of the metrics that it records.
        has_likelihoods: Whether its requests ask for likelihoods; a task that only generates has none.
    """

    requests: int
    items: int
    items_without_limit: int
    clusters: int
    chance: float
    domain: str
    items_from: str
    metrics: tuple[str, ...] = ()
    has_likelihoods: bool = True


def task_sizes(spec: EvaluationSpec) -> dict[str, TaskSize]:
    """Return the size of each task. Prompts are rendered without a chat template.

    Raises:
        InputError: a task is unknown, its data is not available here, or an option does not fit it.
    """
    with options_in_force(spec):
        _, tasks, _ = load_tasks(spec)
        built = build(tasks.tasks, spec.prompt, None)
        return {name: _size(name, tasks.tasks[name], each) for name, each in built.items()}


def _size(name: str, task: Task, built: TaskRequests) -> TaskSize:
    metadata: dict[str, Any] = task.get_config("metadata") or {}
    items = set(built.items)
    field = metadata.get("cluster")
    clusters = {str(task.eval_docs[item][field]) for item in items} if field else items
    return TaskSize(
        requests=len(built.requests),
        items=len(items),
        items_without_limit=len(task.eval_docs),
        clusters=len(clusters),
        chance=float(metadata.get("chance", 0.0)),
        domain=str(metadata.get("domain", name)),
        items_from=str(metadata.get("items_from") or name),
        metrics=tuple(task.aggregation()),
        has_likelihoods=task.OUTPUT_TYPE != "generate_until",
    )
