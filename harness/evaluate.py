"""Checkpoint + tasks -> record, in two halves that meet only in the journal: answer first, score second.

`answer` knows requests and engines, and no metric. `score` hands lm-eval a replay of the answers and knows no engine.
"""

from __future__ import annotations

import logging
import traceback
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from harness.catalogue import LoadedTasks
from harness.engines.base import Answer, Batch, EngineDied, Failure, Request, Scorer
from harness.engines.watchdog import EngineHungError, watched
from harness.errors import EngineError, HarnessError, TaskError, first_line
from harness.journal import Journal
from harness.requests import Asked, ChatTemplate, PromptSpec, Replay

if TYPE_CHECKING:
    from lm_eval.result_schema import EvalResults

log = logging.getLogger(__name__)

BOOTSTRAP_ITERATIONS = 1000
MAX_RESTARTS = 1
MALFORMED = Failure(reason="malformed", message="the answer holds half of a surrogate pair, which is no text")
MALFORMED_PROMPT = Failure(reason="malformed", message="the prompt holds half of a surrogate pair, which is no text")


class Progress(Protocol):
    """Told how far answering is."""

    def start(self, *, total: int, known: int) -> None:
        """`total` distinct requests, `known` of them in the journal."""

    def advance(self, count: int) -> None:
        """`count` more were answered or failed."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of the requests.

    Attributes:
        answers: By request.
        failures: By request; none of these is in `answers`.
        from_journal: How many distinct requests the journal answered.
        engine: The engine's description; None when the journal knew every answer and no engine was opened.
        restarts: How often the engine died and was opened again.
    """

    answers: Mapping[Request, Answer]
    failures: Mapping[Request, Failure] = field(default_factory=dict)
    from_journal: int = 0
    engine: Mapping[str, Any] | None = None
    restarts: int = 0


def answer(
    requests: Sequence[Request],
    journal: Journal,
    open_scorer: Callable[[], Scorer],
    progress: Progress | None = None,
    *,
    timeout_seconds: float | None = None,
) -> Outcome:
    """Answer every distinct request once: from the journal, else by the engine, each batch journalled when it is done.

    An engine that dies is opened once more and goes on with what is left. One that takes longer than
    `timeout_seconds` for a batch is given up: what is left fails as ``timeout``, and the next run asks it again.

    Raises:
        EngineError: when it dies again. Everything answered so far is in the journal.
    """
    distinct = list(dict.fromkeys(requests))
    known = journal.lookup(distinct)
    answers = {distinct[index]: found for index, found in known.items()}
    rest = [request for index, request in enumerate(distinct) if index not in known]
    if progress:
        progress.start(total=len(distinct), known=len(known))
    failures = {request: MALFORMED_PROMPT for request in rest if not _is_text(_words(request))}
    rest = [request for request in rest if request not in failures]
    engine: Mapping[str, Any] | None = None
    restarts = 0
    while rest:
        scorer = open_scorer()
        engine = scorer.description
        try:
            _run(scorer, rest, journal, answers, failures, progress, timeout_seconds)
            break
        except EngineHungError as hang:
            # Its thread still holds the model: a second engine beside it could take the machine's memory.
            again = "The same command asks again what is left." if journal.durable else "--no_cache keeps no answer."
            log.warning("%s; given up. %s", hang, again)
            _fail_rest(rest, answers, failures, Failure(reason="timeout", message=str(hang)))
            return Outcome(
                answers=answers, failures=failures, from_journal=len(known), engine=engine, restarts=restarts
            )
        except HarnessError:
            raise
        except Exception as death:  # EngineDied, or whatever an engine raised that it did not foresee
            if not isinstance(death, EngineDied):
                log.debug("the engine raised", exc_info=death)
            reason = f"{type(death).__name__}: {death}" if not isinstance(death, EngineDied) else str(death)
            rest = [request for request in rest if request not in answers and request not in failures]
            if restarts == MAX_RESTARTS:
                counts = f"{len(answers):,} of {len(distinct):,} answers are in the journal"
                kept = f"{counts}. Run the same command again to go on from there."
                kept = kept if journal.durable else "--no_cache kept no answer."
                raise EngineError(f"the engine died twice ({reason}); {kept}") from death
            log.warning("the engine died (%s); opening it once more", reason)
            restarts += 1
        finally:
            scorer.close()
    return Outcome(answers=answers, failures=failures, from_journal=len(known), engine=engine, restarts=restarts)


def _run(
    scorer: Scorer,
    rest: Sequence[Request],
    journal: Journal,
    answers: dict[Request, Answer],
    failures: dict[Request, Failure],
    progress: Progress | None,
    timeout_seconds: float | None,
) -> None:
    told: set[int] = set()
    for batch in watched(scorer.answer(rest), timeout_seconds):
        _check_indices(batch, told, len(rest))
        pairs = [(rest[index], said if _is_text(getattr(said, "text", None)) else MALFORMED) for index, said in batch]
        journal.record((request, said) for request, said in pairs if isinstance(said, Answer))
        answers.update((request, said) for request, said in pairs if isinstance(said, Answer))
        failures.update((request, said) for request, said in pairs if isinstance(said, Failure))
        if progress:
            progress.advance(len(pairs))
    _fail_rest(rest, answers, failures, Failure(reason="missing", message="the engine gave no answer"))


def _words(request: Request) -> str:
    return f"{request.context}{request.continuation}{request.generation}"


def _is_text(text: str | None) -> bool:
    """Whether a text can be written: half of a surrogate pair, as a careless service sends it, cannot."""
    try:
        (text or "").encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_indices(batch: Batch, told: set[int], asked: int) -> None:
    """Add the batch's indices to `told`; an engine that loses count may have mixed up its answers, so none is believed.

    Raises:
        EngineDied: an index that was not asked, or that was answered before.
    """
    for index, _ in batch:
        if index in told or not 0 <= index < asked:
            problem = "twice" if index in told else "and was not asked it"
            raise EngineDied(f"it answered request {index} {problem}")
        told.add(index)


def _fail_rest(
    rest: Sequence[Request], answers: Mapping[Request, Answer], failures: dict[Request, Failure], failure: Failure
) -> None:
    failures.update((request, failure) for request in rest if request not in answers and request not in failures)


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


def tally(asked: Asked, outcome: Outcome) -> Tally:
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


def scored_items(asked: Asked, outcome: Outcome) -> list[int]:
    """Return the items whose every request was answered, in order."""
    failed = {i for i, request in zip(asked.items, asked.requests, strict=True) if request not in outcome.answers}
    return sorted(set(asked.items) - failed)


def score(
    loaded: LoadedTasks,
    asked: Mapping[str, Asked],
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
