"""The first half of an evaluation: requests in, answers and failures out; the journal first, an engine for the rest.

Nothing here knows a metric.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.engines.base import Answer, Batch, Engine, EngineDied, Failure, Request
from harness.engines.watchdog import EngineHungError, watched
from harness.errors import EngineError, HarnessError
from harness.evaluation.journal import Journal

log = logging.getLogger(__name__)
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
    open_engine: Callable[[], Engine],
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
        scorer = open_engine()
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
    scorer: Engine,
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
