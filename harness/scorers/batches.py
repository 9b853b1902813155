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

from harness.scorers.base import EngineDied, Failure, FailureReason
from harness.scorers.streams import Streams

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
    """How large a job may be. It shrinks when memory runs out and never grows again.

    Attributes:
        tokens: Tokens of a forward pass, or tokens whose keys and values are held.
        scored: Rows of logits.
    """

    tokens: int
    scored: int

    def halve(self, tokens: int, scored: int) -> None:
        """Allow half of what a job of this size took."""
        self.tokens = max(1, min(self.tokens, tokens) // 2)
        self.scored = max(1, min(self.scored, scored) // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[Result]):
    """Members that are computed together.

    Attributes:
        members: Their indices.
        run: Computes them all; a result for each.
        tokens: The part of the budget that it takes.
        scored: Likewise.
        fallback: Cuts the members into jobs of another kind when this one raises; None: one by one.
    """

    members: list[int]
    run: Callable[[], dict[int, Result]]
    tokens: int
    scored: int = 1
    fallback: Cut[Result] | None = None


Cut = Callable[[list[int]], Iterator[Job[Result]]]


@dataclass(frozen=True, slots=True)
class _Trouble(Generic[Result]):
    """A job that raised, without the error, whose traceback holds the job's tensors."""

    job: Job[Result]
    line: str
    exhausted: bool


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
        lines = str(error).strip().splitlines()
        line = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
        if isinstance(error, RuntimeError) and "CUDA error" in str(error) and not ran_out_of_memory(error):
            raise EngineDied(line) from error
        if line not in self._told:
            self._told.add(line)
            logger.warning("a batch failed and is tried again in smaller parts: %s", line)
        return line

    def _round(
        self, left: list[int], cut: Cut[Result], streams: Streams | None
    ) -> Iterator[dict[int, Result | Failure]]:
        """Run jobs until one is in trouble; then, with nothing else running, see to that. Not all need be done."""
        troubles: list[_Trouble[Result]] = []
        jobs = itertools.takewhile(lambda _: not troubles, cut(left))

        def attempt(job: Job[Result]) -> dict[int, Result | Failure] | _Trouble[Result]:
            return {} if troubles else self._attempt(job)  # streams read a job ahead; that one is left as well

        for outcome in streams.map(attempt, jobs) if streams else map(attempt, jobs):
            if isinstance(outcome, _Trouble):
                troubles.append(outcome)
            elif outcome:
                yield outcome
        too_large = [trouble for trouble in troubles if trouble.exhausted and len(trouble.job.members) > 1]
        if too_large:  # once, also where two ran out of memory side by side; the next round cuts them anew
            self._shrink(too_large[0].job)
        for trouble in troubles:
            if trouble not in too_large:
                yield from self._apart(trouble, cut)

    def _attempt(self, job: Job[Result]) -> dict[int, Result | Failure] | _Trouble[Result]:
        try:
            return dict(job.run())
        except Exception as error:  # recorded as failures when it stays with a single member
            return _Trouble(job, self.note(error), ran_out_of_memory(error))

    def _shrink(self, job: Job[Result]) -> None:
        self.budget.halve(job.tokens, job.scored)
        logger.warning("out of memory: going on with %d tokens at a time", self.budget.tokens)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _apart(self, trouble: _Trouble[Result], cut: Cut[Result]) -> Iterator[dict[int, Result | Failure]]:
        """Find out whose trouble it is: the job's members in its fallback's jobs, then one by one."""
        job = trouble.job
        if len(job.members) == 1 and (trouble.exhausted or job.fallback is None):
            reason: FailureReason = "out_of_memory" if trouble.exhausted else "error"
            yield {job.members[0]: Failure(reason=reason, message=trouble.line)}
            return
        groups = [job.members] if job.fallback else [[index] for index in job.members]
        for group in groups:
            yield from self.drain(group, job.fallback or cut)


def ran_out_of_memory(error: Exception) -> bool:
    """Whether `error` says that a smaller batch might work."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
