"""Keep going: run jobs within a budget, whatever happens to one of them.

Out of memory halves the budget for good and cuts what is left anew. Any other error sends the job's members to its
fallback, then one by one, so that only the guilty fail. What a job computes is unknown here.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import torch

from harness.scorers.base import EngineDied, Failure

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


@dataclass(slots=True)
class Runner(Generic[Result]):
    """Runs jobs and remembers what was told."""

    budget: Budget
    _told: set[str] = field(default_factory=set)

    def drain(self, members: Sequence[int], cut: Cut[Result]) -> Iterator[dict[int, Result | Failure]]:
        """Run the jobs that `cut` makes of `members` until each has one result or failure.

        Raises:
            EngineDied: The device is unusable.
        """
        left = list(members)
        while left:
            done: set[int] = set()
            for job in cut(left):
                found = self._attempt(job, cut)
                if found is None:
                    break
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

    def _attempt(self, job: Job[Result], cut: Cut[Result]) -> dict[int, Result | Failure] | None:
        """Run a job; None when memory ran out and what is left is to be cut smaller."""
        try:
            return dict(job.run())
        except Exception as error:  # recorded as failures when it stays with a single member
            line, exhausted = self.note(error), ran_out_of_memory(error)
        # Behind the `except`, where the traceback no longer holds the failed job's tensors.
        if len(job.members) == 1 and (exhausted or job.fallback is None):
            return {job.members[0]: Failure(reason="out_of_memory" if exhausted else "error", message=line)}
        if exhausted:
            self.budget.halve(job.tokens, job.scored)
            logger.warning("out of memory: going on with %d tokens at a time", self.budget.tokens)
            gc.collect()
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return None
        found: dict[int, Result | Failure] = {}
        groups = [job.members] if job.fallback else [[index] for index in job.members]
        for group in groups:
            for part in self.drain(group, job.fallback or cut):
                found |= part
        return found


def ran_out_of_memory(error: Exception) -> bool:
    """Whether `error` says that a smaller batch might work."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error) for text in _OUT_OF_MEMORY)
