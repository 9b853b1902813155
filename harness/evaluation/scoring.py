"""Checkpoint + tasks -> record, in two halves that meet only in the journal: answer first, score second.

`answer` knows requests and engines, and no metric. `score` hands lm-eval a replay of the answers and knows no engine.
"""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.errors import HarnessError, TaskError, first_line
from harness.evaluation.answering import Outcome
from harness.evaluation.requests import ChatTemplate, PromptSpec, Replay, TaskRequests
from harness.suite.catalogue import LoadedTasks

if TYPE_CHECKING:
    from lm_eval.result_schema import EvalResults

log = logging.getLogger(__name__)

BOOTSTRAP_ITERATIONS = 1000


@dataclass(frozen=True, kw_only=True)
class Tally:
    """What became of one task's requests and items. Every figure counts requests unless it says items.

    Attributes:
        asked: Requests the task made.
        answered: Those with an answer.
        failed: Those without.
        cut: Answered after their input was cut on the left.
        empty: Generations that came back empty.
        items: Items asked about.
        items_scored: Items whose every request was answered; the others are left out of every metric.
        reasons: Failures by reason.
    """

    asked: int
    answered: int
    failed: int
    cut: int
    empty: int
    items: int
    items_scored: int
    reasons: Mapping[str, int]


def tally(asked: TaskRequests, outcome: Outcome) -> Tally:
    """Count one task's answers and failures."""
    found = [outcome.answers[r] for r in asked.requests if r in outcome.answers]
    reasons = Counter(outcome.failures[r].reason for r in asked.requests if r in outcome.failures)
    return Tally(
        asked=len(asked.requests),
        answered=len(found),
        failed=len(asked.requests) - len(found),
        cut=sum(a.cut_tokens > 0 for a in found),
        empty=sum(a.text is not None and not a.text.strip() for a in found),
        items=len(set(asked.items)),
        items_scored=len(scored_items(asked, outcome)),
        reasons=dict(sorted(reasons.items())),
    )


def scored_items(asked: TaskRequests, outcome: Outcome) -> list[int]:
    """Return the items whose every request was answered, in order."""
    failed = {i for i, request in zip(asked.items, asked.requests, strict=True) if request not in outcome.answers}
    return sorted(set(asked.items) - failed)


def score(
    loaded: LoadedTasks,
    asked: Mapping[str, TaskRequests],
    outcome: Outcome,
    spec: PromptSpec,
    chat_template: ChatTemplate | None,
    *,
    unsafe_code: bool = False,
) -> EvalResults:
    """Score the answers with lm-eval's own `evaluate`; items with a failed request are left out, never scored as 0.

    A task none of whose items can be scored has no entry in the results. `unsafe_code` lets tasks of lm-eval that run
    programs without a sandbox do so.

    Raises:
        TaskError: when a metric, a filter or another function of a task raises.
    """
    samples = {name: _Indices(scored_items(task_asked, outcome)) for name, task_asked in asked.items()}
    tasks = {name: task for name, task in loaded.tasks.items() if samples[name]}
    for task in tasks.values():
        task.set_fewshot_seed(seed=spec.seeds.fewshot)
    try:
        return _evaluated(loaded, tasks, samples, outcome, spec, chat_template, unsafe_code=unsafe_code)
    except (HarnessError, OSError, MemoryError):
        raise  # the machine's, not a task's
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        named = ", ".join(list(tasks)[:3]) + (f" or {len(tasks) - 3} more" if len(tasks) > 3 else "")
        log.debug("scoring failed", exc_info=error)
        raise TaskError(
            f"{named}: scoring failed with {type(error).__name__} ({first_line(error)}) in {where.filename}, line "
            f"{where.lineno}. Correct the task's metric, filter or process_results and run again: what the journal "
            "holds is not asked again."
        ) from error


def _evaluated(
    loaded: LoadedTasks,
    tasks: dict[str, Any],
    samples: Mapping[str, list[int]],
    outcome: Outcome,
    spec: PromptSpec,
    chat_template: ChatTemplate | None,
    *,
    unsafe_code: bool,
) -> EvalResults:
    from lm_eval.evaluator import evaluate

    whole = len(tasks) == len(loaded.tasks)
    results = evaluate(
        lm=Replay(outcome.answers, spec.seeds, chat_template),
        # A group's mean over fewer tasks than it names would be another number under the same name.
        task_dict={
            "tasks": tasks,
            "groups": loaded.groups if whole else {},
            "group_map": loaded.group_map if whole else {},
        },
        samples=samples,
        bootstrap_iters=BOOTSTRAP_ITERATIONS,
        system_instruction=spec.system_instruction,
        apply_chat_template=spec.apply_chat_template,
        fewshot_as_multiturn=spec.fewshot_as_multiturn,
        confirm_run_unsafe_code=unsafe_code,
    )
    assert results is not None
    return results


class _Indices(list[int]):
    """Item numbers that answer ``in`` at once: lm-eval asks it once per item of the split."""

    def __init__(self, items: Sequence[int]) -> None:
        super().__init__(items)
        self._members = frozenset(items)

    def __contains__(self, item: object) -> bool:
        return item in self._members
