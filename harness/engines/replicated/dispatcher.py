"""Gives chunks to idle replicas. The driver and the threads of the replicas share data only through this class.

If a replica dies, the unanswered requests of its chunk go to the next idle one. A model with weights gets the whole
chunk again instead, because its rounding depends on what it computes together; answers that have arrived are kept, and
their second computation is dropped. If two replicas die on the same chunk, its unanswered requests are sent one by one
to find the request that kills replicas: after two more deaths, only that request fails.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.engines.base import Answer, Batch, EngineDied, Failure
from harness.engines.replicated.cutting import Chunk, singles
from harness.errors import HarnessError

DEATHS = 2  # after so many, a chunk is split into single requests, and a single request fails
# How many replicas may die in a row without any answer: four for one deadly request, and some for other reasons. After
# more, the engine cannot run on this machine.
DEATHS_IN_A_ROW = 6


class Dispatcher:
    """The chunks of one engine.

    Args:
        replicas: How many replicas there are.
        whole: Whether a chunk is sent again as a whole.
    """

    def __init__(self, replicas: int, *, whole: bool = False) -> None:
        self._whole = whole
        self._limit = DEATHS_IN_A_ROW + 2 * replicas
        self._changed = threading.Condition()
        # Largest first; the number keeps the order of equal sizes.
        self._waiting: list[tuple[int, int, Chunk]] = []
        self._numbers = itertools.count()
        self._unfinished = 0  # chunks whose end `answers` has not seen
        self._deaths_in_a_row = 0
        self._closed = False
        self._error: EngineDied | HarnessError | None = None
        self._description: Mapping[str, Any] | None = None
        self._results: queue.Queue[Batch | Exception | None] = queue.Queue()  # None: a chunk ends

    def add(self, chunks: Iterable[Chunk]) -> None:
        """Add chunks."""
        with self._changed:
            for chunk in chunks:
                self._unfinished += 1
                heapq.heappush(self._waiting, (-chunk.size, next(self._numbers), chunk))
            self._changed.notify_all()

    def take(self) -> Chunk | None:
        """Return the largest chunk, waiting until there is one; None when the dispatcher is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else heapq.heappop(self._waiting)[2]

    def answered(self, chunk: Chunk, answers: Sequence[tuple[int, Answer | Failure]]) -> None:
        """Accept answers to some requests of a chunk; their indices count from the start of the chunk."""
        with self._changed:
            self._deaths_in_a_row = 0
        outside = [place for place, _ in answers if not 0 <= place < len(chunk.indices)]
        if outside:
            self.fail(EngineDied(f"it answered request {outside[0]}, which it was not sent"))
        else:
            self._results.put(
                [(chunk.indices[place], answer) for place, answer in answers if place not in chunk.answered]
            )

    def finished(self) -> None:
        """Record that a replica will give no more answers to its chunk."""
        self._results.put(None)

    def died(self, chunk: Chunk | None, answered: Collection[int], reason: str) -> None:
        """Send again what a dead replica left unanswered.

        Args:
            chunk: What it was sent; None if it died while opening.
            answered: The places in `chunk` that it answered.
            reason: Why it died.
        """
        with self._changed:
            self._deaths_in_a_row += 1
            hopeless = self._deaths_in_a_row > self._limit
        if hopeless:
            self.fail(EngineDied(f"{self._deaths_in_a_row} replicas died without an answer; the last reason: {reason}"))
        elif chunk is not None:
            self._send_again(chunk, answered, reason)
            self.finished()

    def _send_again(self, chunk: Chunk, answered: Collection[int], reason: str) -> None:
        left = chunk.left(answered)
        if not left.indices:
            return
        if chunk.deaths + 1 < DEATHS:
            again = replace(chunk, answered=chunk.answered.union(answered)) if self._whole else left
            self.add([replace(again, deaths=chunk.deaths + 1)])
        elif len(chunk.indices) > 1:
            self.add(singles(left))
        else:
            message = f"{DEATHS} replicas died on this single request ({reason})"[:400]
            with self._changed:
                self._deaths_in_a_row = 0
            self._results.put([(chunk.indices[0], Failure(reason="error", message=message))])

    def opened(self, description: Mapping[str, Any]) -> None:
        """Record that a replica is open, with the description of its engine."""
        with self._changed:
            self._description = self._description or description
            self._changed.notify_all()

    def description(self) -> Mapping[str, Any]:
        """Wait until the first replica is open, and return its description.

        Raises:
            EngineDied: none can be opened.
            HarnessError: a replica is refused.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._description is not None or self._error is not None)
            if self._description is None:
                assert self._error is not None
                raise self._error
            return self._description

    def fail(self, error: EngineDied | HarnessError) -> None:
        """End the run with an error, which `answers` and `description` raise."""
        with self._changed:
            self._error = error
            self._changed.notify_all()
        self._results.put(error)

    def answers(self) -> Iterator[Batch]:
        """Yield answers as they arrive, until all chunks are done.

        Raises:
            EngineDied: the replicas cannot go on.
            HarnessError: a replica cannot be opened.
        """
        while self._unfinished:
            result = self._results.get()
            if isinstance(result, Exception):
                raise result
            if result is not None:
                yield result
                continue
            with self._changed:
                self._unfinished -= 1

    def close(self) -> None:
        """Let waiting replicas go."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
