"""The second half of an evaluation: answers in, lm-eval's results out. Nothing here knows an engine.

lm-eval's own `evaluate` runs against a replay of the answers, so that its filters, metrics and aggregation do the work.
"""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.engines.thoughts import ThinkTags
from harness.errors import HarnessError, TaskError, first_line
from harness.evaluation.answering import Outcome
from harness.evaluation.evaluation import Evaluation
from harness.evaluation.frozen import frozen_requests, instances_of
from harness.evaluation.requests import Replay, TaskRequests

if TYPE_CHECKING:
    from lm_eval.api.task import Task
    from lm_eval.result_schema import EvalResults

log = logging.getLogger(__name__)

BOOTSTRAP_ITERATIONS = 1000


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of one task's requests by outcome. Every figure counts requests unless it says items.

    Attributes:
        asked: Requests the task made.
        answered: Requests with an answer.
        failed: Requests without one.
        cut: Answered after their input was cut on the left.
        unclosed_thoughts: Generations that end within the model's reasoning, so that they have no answer.
        encoded_apart: Answered with a continuation that was encoded without its context.
        empty: Generations that came back empty.
        items: Items with a request.
        items_scored: Items with all requests answered; the others are left out of every metric.
        reasons: Failures by reason.
    """

    asked: int
    answered: int
    failed: int
    cut: int
    unclosed_thoughts: int
    encoded_apart: int
    empty: int
    items: int
    items_scored: int
    reasons: Mapping[str, int]


def tally(task: TaskRequests, outcome: Outcome, think_tags: ThinkTags | None = None) -> Tally:
    """Count one task's answers and failures."""
    # Lookups must be fast, because a benchmark can have a million requests.
    answers = [answer for request in task.requests if (answer := outcome.answers.get(request)) is not None]
    failed = [failure.reason for request in task.requests if (failure := outcome.failures.get(request)) is not None]
    return Tally(
        asked=len(task.requests),
        answered=len(answers),
        failed=len(task.requests) - len(answers),
        cut=sum(answer.cut_tokens > 0 for answer in answers),
        unclosed_thoughts=0 if think_tags is None else _unclosed_thoughts(task, outcome, think_tags),
        encoded_apart=sum(answer.encoded_apart for answer in answers),
        empty=sum(answer.text is not None and not answer.text.strip() for answer in answers),
        items=len(set(task.items)),
        items_scored=len(scored_items(task, outcome)),
        reasons=dict(sorted(Counter(failed).items())),
    )


def _unclosed_thoughts(task: TaskRequests, outcome: Outcome, think_tags: ThinkTags) -> int:
    texts = [(outcome.answers[one].text, one.context) for one in task.requests if one in outcome.answers]
    return sum(text is not None and think_tags.is_inside(text, context) for text, context in texts)


def scored_items(task: TaskRequests, outcome: Outcome) -> list[int]:
    """Return the items with all requests answered, in order."""
    if not outcome.failures:
        return sorted(set(task.items))
    failed = {i for i, request in zip(task.items, task.requests, strict=True) if request not in outcome.answers}
    return sorted(set(task.items) - failed)


def score(evaluation: Evaluation, outcome: Outcome) -> EvalResults:
    """Score the answers with lm-eval's own `evaluate`; items with a failed request are left out, never scored as 0.

    A task without a single item to score has no entry in the results.

    Raises:
        TaskError: a metric, a filter or another function of a task raises.
    """
    samples = {name: _Indices(scored_items(requests, outcome)) for name, requests in evaluation.requests.items()}
    tasks = {name: task for name, task in evaluation.tasks.tasks.items() if samples[name]}
    try:
        return _evaluated(evaluation, outcome, tasks, samples)
    except (HarnessError, OSError, MemoryError):
        raise  # not the fault of a task
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        named = ", ".join(list(tasks)[:3]) + (f" or {len(tasks) - 3} more" if len(tasks) > 3 else "")
        log.debug("scoring failed", exc_info=error)
        raise TaskError(
            f"{named}: scoring failed with {type(error).__name__} ({first_line(error)}) in {where.filename}, line "
            f"{where.lineno}. Correct the task's metric, filter or process_results and run again; the run reuses the "
            "answers in the journal."
        ) from error


def _evaluated(
    evaluation: Evaluation, outcome: Outcome, tasks: dict[str, Task], samples: Mapping[str, list[int]]
) -> EvalResults:
    from lm_eval.evaluator import evaluate

    spec, loaded = evaluation.spec, evaluation.tasks
    # A group's mean over fewer tasks than it names would be a different number under the same name.
    complete = len(tasks) == len(loaded.tasks) and not spec.predict_only
    asked = {name: instances_of(evaluation.requests[name].instances, samples[name]) for name in tasks}
    known = {key: request for name in tasks for key, request in evaluation.requests[name].by_instance().items()}
    model = evaluation.model
    with frozen_requests(tasks, asked):
        results = evaluate(
            lm=Replay(outcome.answers, spec.prompt.seeds, model.template, model.think_tags, known),
            task_dict={
                "tasks": tasks,
                "groups": loaded.groups if complete else {},
                "group_map": loaded.group_map if complete else {},
            },
            samples=samples,
            bootstrap_iters=BOOTSTRAP_ITERATIONS,
            system_instruction=spec.prompt.system_instruction,
            apply_chat_template=spec.prompt.apply_chat_template,
            fewshot_as_multiturn=spec.prompt.fewshot_as_multiturn,
            confirm_run_unsafe_code=spec.unsafe_code or spec.unsafe_tasks or spec.predict_only,
        )
    assert results is not None
    return results


class _Indices(list[int]):
    """Item numbers with a fast ``in``, which lm-eval evaluates once per item of the split."""

    def __init__(self, items: Sequence[int]) -> None:
        super().__init__(items)
        self._members = frozenset(items)

    def __contains__(self, item: object) -> bool:
        return item in self._members
