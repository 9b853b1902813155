"""The first half of an evaluation: requests in, answers and failures out.

The journal answers what it knows; an engine answers the rest, and each batch is written to the journal within 10
milliseconds, whatever the engine does next. Nothing here knows a metric.

    outcome = answer(requests, journal, open_engine)
    outcome.answers[request].logprob
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from harness.engines.base import Answer, Batch, Engine, EngineDied, Failure, Request
from harness.engines.watchdog import EngineHungError, with_watchdog
from harness.errors import EngineError, HarnessError
from harness.evaluation.journal import Journal
from harness.evaluation.journal_writer import JournalWriter

log = logging.getLogger(__name__)

MAX_RESTARTS = 1
MALFORMED = Failure(reason="malformed", message="the answer holds half of a surrogate pair, which is no text")
MALFORMED_PROMPT = Failure(reason="malformed", message="the prompt holds half of a surrogate pair, which is no text")
MISSING = Failure(reason="missing", message="the engine gave no answer")


class Progress(Protocol):
    """Shows how many requests are answered."""

    def start(self, *, total: int, known: int) -> None:
        """Begin with `total` distinct requests, `known` of them answered by the journal."""

    def advance(self, count: int) -> None:
        """Count `count` more requests as answered or failed."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """The answers and failures of an evaluation's requests.

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
    """Answer every distinct request once: from the journal, or else by the engine.

    An engine that dies is opened once more and given the requests that are left. An engine that takes longer than
    `timeout_seconds` for a batch is abandoned: the requests that are left fail as ``timeout``, which the journal does
    not keep, so that the next run sends them again.

    Raises:
        EngineError: the engine died twice. Every answer so far is in the journal.
    """
    ledger = _Ledger(requests, journal, progress)
    description: Mapping[str, Any] | None = None
    restarts = 0
    while unanswered := ledger.unanswered():
        engine = open_engine()
        description = engine.description
        try:
            ledger.take_answers(engine, unanswered, timeout_seconds)
        except EngineHungError as hang:
            # Its thread still holds the model: a second engine beside it could take the machine's memory.
            remedy = (
                "The same command sends the remaining requests again."
                if journal.durable
                else "--no_cache keeps no answer."
            )
            log.warning("%s; the run stops waiting. %s", hang, remedy)
            ledger.fail_unanswered(Failure(reason="timeout", message=str(hang)))
        except HarnessError:
            raise
        except Exception as death:  # EngineDied, or any other exception of an engine
            if not isinstance(death, EngineDied):
                log.debug("the engine raised", exc_info=death)
            reason = str(death) if isinstance(death, EngineDied) else f"{type(death).__name__}: {death}"
            if restarts == MAX_RESTARTS:
                raise EngineError(f"the engine died twice ({reason}); {ledger.where_answers_are()}") from death
            log.warning("the engine died (%s); opening it once more", reason)
            restarts += 1
        finally:
            engine.close()
    return Outcome(
        answers=ledger.answers,
        failures=ledger.failures,
        from_journal=ledger.from_journal,
        engine=description,
        restarts=restarts,
    )


class _Ledger:
    """Which requests are answered, failed or left, over all engines that were opened.

    Args:
        requests: All requests; equal ones are one request.
        journal: Knows old answers and takes new ones.
        progress: Shown to the user.
    """

    def __init__(self, requests: Sequence[Request], journal: Journal, progress: Progress | None) -> None:
        self._requests = list(dict.fromkeys(requests))
        self._journal = journal
        self._progress = progress
        known = journal.lookup(self._requests)
        self.from_journal = len(known)
        self.answers = {self._requests[index]: old for index, old in known.items()}
        self.failures: dict[Request, Failure] = {}
        if progress:
            progress.start(total=len(self._requests), known=len(known))
        for request in self.unanswered():
            if not (_is_text(request.context) and _is_text(request.continuation) and _is_text(request.generation)):
                self.failures[request] = MALFORMED_PROMPT

    def unanswered(self) -> list[Request]:
        """Return the requests that are neither answered nor failed."""
        if len(self.answers) + len(self.failures) == len(self._requests):
            return []
        return [r for r in self._requests if r not in self.answers and r not in self.failures]

    def take_answers(self, engine: Engine, requests: Sequence[Request], timeout_seconds: float | None) -> None:
        """Send `requests` to an engine; journal each batch as it arrives. What gets no answer fails as ``missing``.

        Raises:
            EngineDied: the engine died, or lost count of its requests.
            EngineHungError: a batch took longer than `timeout_seconds`.
        """
        seen = bytearray(len(requests))
        writer = JournalWriter(self._journal)
        try:
            for batch in with_watchdog(engine.answer(requests), timeout_seconds):
                _check_indices(batch, seen)
                new: dict[Request, Answer] = {}
                # An engine yields [(3, Answer(...)), (0, Failure(...))]: positions in `requests`, in any order.
                for index, reply in batch:
                    if isinstance(reply, Failure):
                        self.failures[requests[index]] = reply
                    elif reply.text is None or _is_text(reply.text):
                        new[requests[index]] = reply
                    else:
                        self.failures[requests[index]] = MALFORMED
                writer.add(new.items())
                self.answers |= new
                if self._progress:
                    self._progress.advance(len(batch))
        finally:
            writer.flush()
        self.fail_unanswered(MISSING)

    def fail_unanswered(self, failure: Failure) -> None:
        """Give every request that is left the same failure."""
        self.failures |= dict.fromkeys(self.unanswered(), failure)

    def where_answers_are(self) -> str:
        """Return what a user can do after the engine died for good."""
        if not self._journal.durable:
            return "--no_cache kept no answer."
        count = f"{len(self.answers):,} of {len(self._requests):,} answers are in the journal"
        return f"{count}. Run the same command again to resume from there."


def _is_text(text: str) -> bool:
    r"""Whether a text can be encoded: half of a surrogate pair, such as "\ud83d" from a careless service, cannot."""
    if text.isascii():  # known without looking at the letters
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_indices(batch: Batch, seen: bytearray) -> None:
    """Mark the batch's indices in `seen`, which has a byte per request.

    An engine that loses count may have mixed up its answers, so that none of the batch counts.

    Raises:
        EngineDied: an index that was not asked, or that was answered before.
    """
    for index, _ in batch:
        known = 0 <= index < len(seen)
        if not known or seen[index]:
            raise EngineDied(f"it answered request {index} {'twice' if known else 'and was not asked it'}")
        seen[index] = 1
