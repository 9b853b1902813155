"""Gives deals to idle replicas, and again when a replica dies. Threads of replicas and the driver meet only here.

A deal that a replica had when it died goes to the next idle one. If two replicas die of a deal, its requests are asked
one by one, so that the one that is guilty is found: when two more die of that single request, it fails, and nothing
else does.
"""

from __future__ import annotations

import heapq
import itertools
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from harness.engines.base import Answer, Batch, EngineDied, Failure
from harness.engines.replicated.cutting import Deal, singles
from harness.errors import HarnessError

DEATHS = 2  # of replicas, after which a deal is asked one by one, and a single request fails
# Replicas that may die one after the other without an answer from any: the four that one guilty request costs, and
# some for other reasons. More are an engine that cannot run here at all.
DEATHS_IN_A_ROW = 6


class Dealer:
    """The deals of one engine.

    Args:
        replicas: How many replicas there are.
    """

    def __init__(self, replicas: int) -> None:
        self._limit = DEATHS_IN_A_ROW + 2 * replicas
        self._changed = threading.Condition()
        # Largest first; the number keeps the order of equal sizes.
        self._waiting: list[tuple[int, int, Deal]] = []
        self._numbers = itertools.count()
        self._unfinished = 0  # deals whose answers `answers` has not yielded
        self._deaths_in_a_row = 0
        self._closed = False
        self._error: EngineDied | HarnessError | None = None
        self._description: Mapping[str, Any] | None = None
        self._results: queue.Queue[Batch | Exception] = queue.Queue()

    def add(self, deals: Iterable[Deal]) -> None:
        """Add deals."""
        with self._changed:
            for deal in deals:
                self._unfinished += 1
                heapq.heappush(self._waiting, (-deal.size, next(self._numbers), deal))
            self._changed.notify_all()

    def take(self) -> Deal | None:
        """Return the largest deal, waiting until there is one; None when the dealer is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            return None if self._closed else heapq.heappop(self._waiting)[2]

    def done(self, deal: Deal, answers: Sequence[tuple[int, Answer | Failure]]) -> None:
        """Accept the answers to a deal, whose indices are places in the deal."""
        with self._changed:
            self._deaths_in_a_row = 0
        outside = [place for place, _ in answers if not 0 <= place < len(deal.indices)]
        if outside:
            self.fail(EngineDied(f"it answered request {outside[0]} and was not asked it"))
        else:
            self._results.put([(deal.indices[place], answer) for place, answer in answers])

    def died(self, deal: Deal | None, reason: str) -> None:
        """Deal again what a dead replica had; None if it died while opening."""
        with self._changed:
            self._deaths_in_a_row += 1
            hopeless = self._deaths_in_a_row > self._limit
        if hopeless:
            self.fail(
                EngineDied(f"{self._deaths_in_a_row} replicas died without an answer, the last because: {reason}")
            )
        elif deal is not None:
            self._deal_again(replace(deal, deaths=deal.deaths + 1), reason)

    def _deal_again(self, deal: Deal, reason: str) -> None:
        if deal.deaths >= DEATHS and len(deal.indices) == 1:
            message = f"{DEATHS} replicas died of this request alone ({reason})"[:400]
            with self._changed:
                self._deaths_in_a_row = 0
            self._results.put([(deal.indices[0], Failure(reason="error", message=message))])
            return
        self.add([deal] if deal.deaths < DEATHS else singles(deal))
        with self._changed:
            self._unfinished -= 1

    def opened(self, description: Mapping[str, Any]) -> None:
        """Say that a replica is open, with the description that its engine gives."""
        with self._changed:
            self._description = self._description or description
            self._changed.notify_all()

    def description(self) -> Mapping[str, Any]:
        """Return the description of the first replica that is open, waiting for one.

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
        """Yield the answers to each deal when they arrive, until all deals are done.

        Raises:
            EngineDied: the replicas cannot go on.
            HarnessError: a replica cannot be opened.
        """
        while self._unfinished:
            result = self._results.get()
            if isinstance(result, Exception):
                raise result
            with self._changed:
                self._unfinished -= 1
            yield result

    def close(self) -> None:
        """Let waiting replicas go."""
        with self._changed:
            self._closed = True
            self._waiting.clear()
            self._changed.notify_all()
