"""An engine that spreads requests over replicas.

The driver has one thread per replica (per place), which waits for its answers:

    thread of a place:   launch -> open -> [take a chunk -> batch, batch, ...]...   dead? -> launch again
    driver:              add chunks -> batch, batch, ... -> journal

Answers arrive as the replicas' engines make them. Only the driver writes the journal.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from harness.engines.base import Batch, EngineDied, Request
from harness.engines.replicated.cutting import Chunk, cut
from harness.engines.replicated.dispatcher import Dispatcher
from harness.engines.replicated.recipe import Recipe
from harness.engines.replicated.team import Replica, ReplicaDied, Team
from harness.engines.replicated.worker import Reply
from harness.errors import EngineError, HarnessError, InputError

log = logging.getLogger(__name__)

SECONDS_TO_FREE = 10.0  # memory, when an engine is closed
State = Literal["launching", "opening", "busy", "idle"]


class ReplicatedEngine:
    """Answers requests with the replicas of a team (see `harness.engines.base.Engine`).

    Args:
        team: Where they run; it stays open when this engine is closed.
        recipe: How each replica opens the model.

    Raises:
        HarnessError: the first replica cannot be opened.
    """

    def __init__(self, team: Team, recipe: Recipe) -> None:
        self._team = team
        self._recipe = recipe
        self._requests: Sequence[Request] = ()
        places = range(len(team.turns))
        self._dispatcher = Dispatcher(len(places), whole=recipe.digests is not None)  # None: no checkpoint
        self._states: list[State] = ["launching" for _ in places]
        self._changing = threading.Lock()  # of `_states` and `_closed`
        self._closed = False
        self._threads = [threading.Thread(target=self._run, args=(place,), daemon=True) for place in places]
        for thread in self._threads:
            thread.start()
        try:
            self._description = dict(self._dispatcher.description())
        except EngineDied as death:
            self.close()
            raise EngineError(f"no replica can be opened ({death}).") from death
        except BaseException:
            self.close()
            raise

    @property
    def description(self) -> dict[str, Any]:
        """The description of the first replica's engine; on a CPU, others may differ in whether they use oneDNN."""
        return self._description

    @property
    def open_replicas(self) -> int:
        """How many replicas have opened the model."""
        return sum(state in ("busy", "idle") for state in self._states)

    def answer(self, requests: Sequence[Request]) -> Iterator[Batch]:
        """Send `requests` to the replicas in chunks; yields each batch of answers when it arrives."""
        self._requests = requests
        self._dispatcher.add(cut(requests, len(self._threads)))
        yield from self._dispatcher.answers()

    def close(self) -> None:
        """Free the replicas' memory; the team keeps its processes for the next model."""
        with self._changing:
            self._closed = True
            states = list(self._states)
        self._dispatcher.close()
        for place, state in enumerate(states):
            if state in ("opening", "busy"):
                self._team.abandon(place)
        for thread, state in zip(self._threads, states, strict=True):
            if state == "idle":
                thread.join(SECONDS_TO_FREE)

    def _run(self, place: int) -> None:
        """Use the replica of a place, and its replacements, until the engine is closed."""
        with self._team.turns[place]:
            try:
                while self._enter(place, "launching"):
                    replica = self._team.launch(place)
                    if replica is None or not self._enter(place, "opening"):
                        break
                    self._use(place, replica)
            except HarnessError as error:
                self._dispatcher.fail(error)

    def _enter(self, place: int, state: State) -> bool:
        """Record the state of a place; False when the engine is closed."""
        with self._changing:
            self._states[place] = state
            return not self._closed

    def _use(self, place: int, replica: Replica) -> None:
        """Open the model in a replica and give it chunks, until it dies or the engine is closed."""
        chunk: Chunk | None = None
        answered: set[int] = set()  # places in the chunk
        try:
            self._dispatcher.opened(_value(replica, "open", self._recipe))
            while (chunk := self._next(place)) is not None:
                answered.clear()
                for batch in _batches(replica, [self._requests[index] for index in chunk.indices]):
                    self._dispatcher.answered(chunk, batch)
                    answered.update(at for at, _ in batch)
                self._dispatcher.finished()
                chunk = None
            _value(replica, "close")
        except ReplicaDied as death:
            self._team.renew(place)
            if not self._closed:
                log.warning("replica %d died (%s); its requests are sent again", place, death)
                self._dispatcher.died(chunk, answered, str(death))

    def _next(self, place: int) -> Chunk | None:
        """Wait for a chunk; None when the engine is closed."""
        chunk = self._dispatcher.take() if self._enter(place, "idle") else None
        return chunk if self._enter(place, "busy") else None


def _value(replica: Replica, name: str, *arguments: Any) -> Any:
    """Call a method that has a single reply, and return its value. Raises: see `_checked`."""
    [reply] = replica.call(name, *arguments)
    return _checked(reply)


def _batches(replica: Replica, requests: Sequence[Request]) -> Iterator[Batch]:
    """Yield the answers of a replica as they arrive. Raises: see `_checked`."""
    for reply in replica.call("answer", requests):
        value = _checked(reply)
        if reply[0] == "batch":
            yield value


def _checked(reply: Reply) -> Any:
    """Return the value of a reply.

    Raises:
        InputError: the model or an argument is refused.
        EngineError: the engine cannot be opened.
        ReplicaDied: the engine died.
    """
    word, value = reply
    if word == "refused":
        raise InputError(value)
    if word == "failed":
        raise EngineError(value)
    if word == "died":
        raise ReplicaDied(value)
    return value
