"""The second half of an evaluation: answers in, lm-eval's results out. Nothing here knows an engine.

lm-eval's own `evaluate` runs against a replay of the answers, so that its filters, metrics and aggregation do the work.
It runs once per task, or once per piece of a very large one; the means are computed at the end, from all items.
"""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.engines.thoughts import ThinkTags
from harness.errors import HarnessError, TaskError, first_line
from harness.evaluation.answering import Outcome
from harness.evaluation.evaluation import Evaluation
from harness.evaluation.frozen import frozen
from harness.evaluation.pieces import Piece
from harness.evaluation.requests import Replay, TaskRequests
from harness.evaluation.samples import FinishedSamples, ItemLog, ScoredItem

if TYPE_CHECKING:
    from lm_eval.api.group import Group

log = logging.getLogger(__name__)

BOOTSTRAP_ITERATIONS = 1000
Keep = Callable[[str, list[dict[str, Any]]], None]


@dataclass(frozen=True, kw_only=True)
class Scores:
    """What scoring gives, without the samples.

    Attributes:
        results: lm-eval's results, without ``samples``.
        items: By task, what reports need of each sample, in the samples' order.
        hashes: By task, lm-eval's hash of all its documents, prompts and targets.
    """

    results: dict[str, Any]
    items: Mapping[str, Sequence[ScoredItem]]
    hashes: Mapping[str, str]


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
    failures = outcome.failures
    failed = [failures[request].reason for request in task.requests if request in failures] if failures else []
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


def score(evaluation: Evaluation, outcome: Outcome, keep: Keep) -> Scores:
    """Score the answers with lm-eval's own `evaluate`; items with a failed request are left out, never scored as 0.

    A task without a single item to score has no entry in the results.

    Args:
        evaluation: The model and the tasks.
        outcome: The answers.
        keep: Gets the samples of each task, some at a time: they are too many to hold all.

    Raises:
        TaskError: a metric, a filter or another function of a task raises.
    """
    scored = {name: scored_items(requests, outcome) for name, requests in evaluation.requests.items()}
    tasks = {name: task for name, task in evaluation.tasks.tasks.items() if scored[name]}
    logs = {name: ItemLog(task) for name, task in tasks.items()}
    finished = FinishedSamples(outcome, evaluation.model.think_tags)
    for name, task in tasks.items():
        for piece in evaluation.requests[name].pieces(task, scored[name]):
            with _named([name]):
                rows = finished(_rows(evaluation, outcome, name, piece), piece)
                logs[name].add(rows)
            keep(name, rows)
    # A group's mean over fewer tasks than it names would be a different number under the same name.
    complete = len(tasks) == len(evaluation.tasks.tasks) and not evaluation.spec.predict_only
    groups = evaluation.tasks.groups if complete else {}
    with _named(list(tasks)):
        results = _aggregated(logs, groups)
    items = {name: tuple(log.items) for name, log in logs.items()}
    return Scores(results=results, items=items, hashes={name: log.digest.hexdigest() for name, log in logs.items()})


@contextmanager
def _named(tasks: Sequence[str]) -> Iterator[None]:
    """Turn what the functions of these tasks raise into an error that names them. Raises: TaskError."""
    try:
        yield
    except (HarnessError, OSError, MemoryError):
        raise  # not the fault of a task
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        named = ", ".join(tasks[:3]) + (f" or {len(tasks) - 3} more" if len(tasks) > 3 else "")
        log.debug("scoring failed", exc_info=error)
        raise TaskError(
            f"{named}: scoring failed with {type(error).__name__} ({first_line(error)}) in {where.filename}, line "
            f"{where.lineno}. Correct the task's metric, filter or process_results and run again; the run reuses the "
            "answers in the journal."
        ) from error


def _rows(evaluation: Evaluation, outcome: Outcome, name: str, piece: Piece) -> list[dict[str, Any]]:
    """Have lm-eval score a piece of a task; returns its samples, one per item and filter."""
    from lm_eval.evaluator import evaluate

    spec, model, task = evaluation.spec, evaluation.model, evaluation.tasks.tasks[name]
    with frozen(task, piece):
        results = evaluate(
            lm=Replay(outcome.answers, spec.prompt.seeds, model.template, model.think_tags, piece.known),
            task_dict={"tasks": {name: task}, "groups": {}, "group_map": {}},
            samples={name: piece.items},
            bootstrap_iters=0,
            system_instruction=spec.prompt.system_instruction,
            apply_chat_template=spec.prompt.apply_chat_template,
            fewshot_as_multiturn=spec.prompt.fewshot_as_multiturn,
            confirm_run_unsafe_code=spec.unsafe_code or spec.unsafe_tasks or spec.predict_only,
        )
    rows: list[dict[str, Any]] = results["samples"][name]
    return rows


def _aggregated(logs: Mapping[str, ItemLog], groups: Mapping[str, Group]) -> dict[str, Any]:
    """Have lm-eval compute means, errors and groups from the values of all items, as the end of `evaluate` does.

    Raises:
        HarnessError: this version of lm-eval has no such function.
    """
    from lm_eval import evaluator_utils

    process = getattr(evaluator_utils, "_process_results", None)
    if process is None:
        raise HarnessError(
            "this version of lm-eval aggregates results in another way than expected; install the version that "
            "pyproject.toml names"
        )
    values = {name: {"task": log.task, "raw_metrics": log.values, "logged_samples": []} for name, log in logs.items()}
    results: dict[str, Any] = process(values, groups, BOOTSTRAP_ITERATIONS)._to_eval_results()  # noqa: SLF001
    return results
