"""Count the requests of an evaluation before there is a checkpoint; finds wrong task names and missing data as well."""

from __future__ import annotations

from harness.evaluation.requests import build
from harness.evaluation.run import load_tasks
from harness.evaluation.spec import EvaluationSpec, options_in_force


def count_requests(spec: EvaluationSpec) -> int:
    """Return the number of requests per model. Prompts are rendered without a chat template.

    Raises:
        InputError: a task is unknown, its data is not available here, or an option does not fit it.
    """
    with options_in_force(spec):
        _, tasks, _ = load_tasks(spec)
        return sum(len(task.requests) for task in build(tasks.tasks, spec.prompt, None).values())
