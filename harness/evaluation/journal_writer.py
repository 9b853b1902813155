"""Writes answers to the journal: at once, or together with others that arrive within 10 milliseconds.

A commit takes about a millisecond. An engine that yields a batch every tenth of a millisecond would spend most of its
time on commits, so answers that arrive within `WRITE_SECONDS` of the last commit wait for the next one. A timer makes
that commit even if the engine yields nothing more.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable

from harness.engines.base import Answer, Request
from harness.evaluation.journal import Journal

WRITE_SECONDS = 0.01


class JournalWriter:
    """Writes the answers of one engine. After `flush`, all of them are in the journal.

    Args:
        journal: Where they are written; nothing else uses it meanwhile.
    """

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._waiting: list[tuple[Request, Answer]] = []
        self._timer: threading.Timer | None = None
        self._written_at = -math.inf
        self._error: Exception | None = None

    def add(self, answers: Iterable[tuple[Request, Answer]]) -> None:
        """Write answers now, or within `WRITE_SECONDS`.

        Raises:
            JournalError: these answers, or some that were added before, cannot be written.
        """
        with self._lock:
            self._raise_error()
            self._waiting.extend(answers)
            if time.monotonic() - self._written_at >= WRITE_SECONDS:
                self._write()
            elif self._timer is None:
                self._timer = threading.Timer(WRITE_SECONDS, self._write_in_timer)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Write all that was added. Raises: JournalError: it cannot be written."""
        with self._lock:
            self._raise_error()
            self._write()

    def _write_in_timer(self) -> None:
        with self._lock:
            try:
                self._write()
            except Exception as error:  # for the next call of `add` or `flush`
                self._error = error

    def _write(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            answers, self._waiting = self._waiting, []
            self._journal.record(answers)
            self._written_at = time.monotonic()

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error
