"""Keep going: run jobs within a budget, whatever happens to one of them.

Out of memory halves the budget for good and cuts what is left anew. Any other error sends the job's members to its
fallback, then one by one, so that only the guilty fail. What a job computes is unknown here.
"""

from __future__ import annotations

import gc
import itertools
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch

from harness.engines.base import EngineDied, Failure, FailureReason
from harness.engines.hf.streams import Streams
from harness.errors import first_line

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
# What a RuntimeError says where memory ran out: torch's allocator on the CPU, the driver and cuBLAS on CUDA.
_OUT_OF_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)


@dataclass(slots=True, kw_only=True)
class Budget:
    """How much may be computed at a time. It shrinks when memory runs out and never grows again.

    Attributes:
        tokens: Tokens computed at a time, or tokens whose keys and values are held.
        scored: Rows of logits at a time.
    """

    tokens: int
    scored: int

    def halve(self, tokens: int, scored: int) -> None:
        """Allow half of what this much took."""
        self.tokens = max(1, min(self.tokens, tokens) // 2)
        self.scored = max(1, min(self.scored, scored) // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[Result]):
    """Members that are computed together.

    Attributes:
        members: Their indices; none for a job that only prepares what the next ones need.
        run: Computes them all; a result for each.
        tokens: The part of the budget that it takes.
        scored: Likewise.
        alone: Nothing may run beside it, and what follows it waits for it.
        fallback: Cuts the members into jobs of another kind when this one raises; None: one by one.
    """

    members: list[int]
    run: Callable[[], dict[int, Result]]
    tokens: int
    scored: int = 1
    alone: bool = False
    fallback: Cut[Result] | None = None


Cut = Callable[[list[int]], Iterator[Job[Result]]]


@dataclass(slots=True, eq=False)
class _Attempt(Generic[Result]):
    """A job that runs or has failed, without its `run` and without its error, which hold tensors.

    Attributes:
        members, fallback: The job's.
        own: The job's tokens and rows of logits.
        peak: The most of both that was computed at the same time, by it and what ran beside it.
        beside: Another job ran at the same time.
        line: The error; empty as long as there is none.
        exhausted: Memory ran out.
    """

    members: list[int]
    fallback: Cut[Result] | None
    own: tuple[int, int]
    peak: tuple[int, int] = (0, 0)
    beside: bool = False
    line: str = ""
    exhausted: bool = False


@dataclass(slots=True)
class Runner(Generic[Result]):
    """Runs jobs and remembers what was told."""

    budget: Budget
    _told: set[str] = field(default_factory=set)

    def drain(
        self, members: Sequence[int], cut: Cut[Result], streams: Streams | None = None
    ) -> Iterator[dict[int, Result | Failure]]:
        """Run the jobs that `cut` makes of `members`, with `streams` two at a time, until each has a result or failure.

        Raises:
            EngineDied: The device is unusable.
        """
        left = list(members)
        while left:
            done: set[int] = set()
            for found in self._round(left, cut, streams):
                done.update(found)
                yield found
            left = [index for index in left if index not in done]

    def note(self, error: Exception) -> str:
        """The error in one line, logged when it is new.

        Raises:
            EngineDied: The device is unusable.
        """
        name, reason = type(error).__name__, first_line(error)
        line = name if reason == name else f"{name}: {reason}"
        if isinstance(error, RuntimeError) and "CUDA error" in str(error) and not ran_out_of_memory(error):
            raise EngineDied(line) from error
        if line not in self._told:
            self._told.add(line)
            logger.warning("a batch failed and is tried again in smaller parts: %s", line)
        return line

    def _round(
        self, left: list[int], cut: Cut[Result], streams: Streams | None
    ) -> Iterator[dict[int, Result | Failure]]:
        """Run the jobs, until memory runs out; then, with nothing else running, see to those in trouble."""
        failed: list[_Attempt[Result]] = []
        too_large: list[_Attempt[Result]] = []
        running: list[_Attempt[Result]] = []

        def attempt(job: Job[Result]) -> dict[int, Result | Failure] | _Attempt[Result]:
            return {} if too_large else self._attempt(job, running)  # a job was read ahead; it is left as well

        jobs = itertools.takewhile(lambda _: not too_large, cut(left))
        for outcome in streams.map(attempt, jobs, alone=lambda job: job.alone) if streams else map(attempt, jobs):
            if isinstance(outcome, _Attempt):
                (too_large if self._may_shrink(outcome) else failed).append(outcome)
            elif outcome:
                yield outcome
        if too_large:  # once, also where two ran out of memory side by side; the next round cuts them anew
            self._shrink(max(attempt.peak for attempt in too_large))
        for trouble in failed:
            yield from self._apart(trouble, cut)

    def _attempt(
        self, job: Job[Result], running: list[_Attempt[Result]]
    ) -> dict[int, Result | Failure] | _Attempt[Result]:
        """Run the job; its results, or the attempt that failed. Several threads may do so at the same time."""
        mine = _Attempt(members=job.members, fallback=job.fallback, own=(job.tokens, job.scored))
        running.append(mine)
        at_once = list(running)
        peak = sum(other.own[0] for other in at_once), sum(other.own[1] for other in at_once)
        for other in at_once:
            other.peak = max(other.peak, peak)
            other.beside |= len(at_once) > 1
        try:
            return dict(job.run())
        except Exception as error:  # recorded as failures when it stays with a single member
            mine.line, mine.exhausted = self.note(error), ran_out_of_memory(error)
            return mine
        finally:
            running.remove(mine)

    def _may_shrink(self, failed: _Attempt[Result]) -> bool:
        """Whether less at a time may end it; not when a single member ran out of memory with nothing beside it."""
        return failed.exhausted and self.budget.tokens > 1 and (failed.beside or len(failed.members) > 1)

    def _shrink(self, peak: tuple[int, int]) -> None:
        self.budget.halve(*peak)
        logger.warning("out of memory: going on with %d tokens at a time", self.budget.tokens)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _apart(self, failed: _Attempt[Result], cut: Cut[Result]) -> Iterator[dict[int, Result | Failure]]:
        """Find out whose trouble it is: the job's members in its fallback's jobs, then one by one."""
        members, fallback = failed.members, failed.fallback
        if len(members) == 1 and (failed.exhausted or fallback is None):
            reason: FailureReason = "out_of_memory" if failed.exhausted else "error"
            yield {members[0]: Failure(reason=reason, message=failed.line)}
            return
        for group in [members] if fallback else [[index] for index in members]:
            yield from self.drain(group, fallback or cut)


def ran_out_of_memory(error: Exception) -> bool:
    """Whether `error` says that a smaller batch might work."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
