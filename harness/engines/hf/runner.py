"""Run jobs within a budget and keep going when one of them fails. What a job computes is unknown here.

When memory runs out, the budget is halved for the rest of the run and the remaining members are cut into new jobs.
After any other error the job's members are computed by its fallback, then one by one, so that only those that cause it
fail:

    job [0 1 2 3]: error  ->  fallback's job [0 1 2 3]: error  ->  [0] done, [1] done, [2] Failure, [3] done
    job [0 1 2 3]: out of memory with 4,000 tokens  ->  budget 2,000  ->  [0 1] done, [2 3] done
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
# Texts in the RuntimeErrors that mean out of memory: of torch's allocator on the CPU, of the driver and cuBLAS on CUDA.
_OUT_OF_MEMORY = (
    "not enough memory",
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
# oneDNN reports a lack of memory with exactly these messages. Longer ones, such as "could not create a primitive
# descriptor for ...", mean a product that it does not support.
_OUT_OF_MEMORY_OF_ONEDNN = (
    "could not create a primitive",
    "could not execute a primitive",
    "could not create a memory object",
)


@dataclass(slots=True, kw_only=True)
class Budget:
    """How much may be computed at a time. It shrinks when memory runs out and never grows.

    Attributes:
        tokens: Tokens computed at a time, or tokens whose keys and values are held.
        scored: Rows of logits at a time.
    """

    tokens: int
    scored: int

    def halve(self, tokens: int, scored: int) -> None:
        """Allow half of `tokens` and `scored`, with which memory ran out, or half of the budget if that is less."""
        self.tokens = max(1, min(self.tokens, tokens) // 2)
        self.scored = max(1, min(self.scored, scored) // 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job(Generic[Result]):
    """Members that are computed together.

    Attributes:
        members: Their indices; none for a job that only prepares what later ones need, such as a prefix.
        run: Computes all members; returns a result for each.
        tokens: The tokens of the budget that it uses.
        scored: The rows of logits of the budget that it uses.
        alone: Whether nothing may run beside it, and the next job must wait for it.
        fallback: Cuts the members into jobs of another kind when this one raises; None means one by one.
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
    """A job that runs or has failed.

    Attributes:
        members: The job's members.
        fallback: The job's fallback.
        own: The job's tokens and rows of logits.
        peak: The most tokens and rows of logits that were computed at the same time, by this job and those beside it.
        beside: Whether another job ran at the same time.
        line: The error in one line; empty if there is none.
        exhausted: Whether memory ran out.
    """

    # Not the job's `run`, and not its error: both hold tensors (an error through its traceback), whose memory must be
    # free when the members are computed in smaller parts.
    members: list[int]
    fallback: Cut[Result] | None
    own: tuple[int, int]
    peak: tuple[int, int] = (0, 0)
    beside: bool = False
    line: str = ""
    exhausted: bool = False


@dataclass(slots=True)
class Runner(Generic[Result]):
    """Runs jobs; logs each error once."""

    budget: Budget
    _logged: set[str] = field(default_factory=set)

    def drain(
        self, members: Sequence[int], cut: Cut[Result], streams: Streams | None = None
    ) -> Iterator[dict[int, Result | Failure]]:
        """Run the jobs that `cut` makes of `members`, two at a time with `streams`, until all have a result or failure.

        Raises:
            EngineDied: The device is unusable.
        """
        # A round ends early when memory runs out. What then has no result is cut anew, with the smaller budget:
        #   members 0..9, budget 4,000: [0 1 2 3] done, [4 5 6 7] out of memory
        #   next round, left 4..9, budget 2,000: [4 5] done, [6 7] done, [8 9] done
        left = list(members)
        while left:
            done: set[int] = set()
            for results in self._round(left, cut, streams):
                done.update(results)
                yield results
            left = [index for index in left if index not in done]

    def note(self, error: Exception) -> str:
        """Return the error in one line; log it if it is new.

        Raises:
            EngineDied: The device is unusable.
        """
        name, reason = type(error).__name__, first_line(error)
        line = name if reason == name else f"{name}: {reason}"
        if isinstance(error, RuntimeError) and "CUDA error" in str(error) and not ran_out_of_memory(error):
            raise EngineDied(line) from error
        if line not in self._logged:
            self._logged.add(line)
            logger.warning("a batch failed and is repeated in smaller parts: %s", line)
        return line

    def _round(
        self, left: list[int], cut: Cut[Result], streams: Streams | None
    ) -> Iterator[dict[int, Result | Failure]]:
        """Run jobs until all are done or memory runs out; then, with nothing else running, deal with failed ones."""
        failed: list[_Attempt[Result]] = []
        too_large: list[_Attempt[Result]] = []
        running: list[_Attempt[Result]] = []

        def attempt(job: Job[Result]) -> dict[int, Result | Failure] | _Attempt[Result]:
            # One job is read ahead. If memory has run out meanwhile, it is too large as well: it is cut anew later.
            return {} if too_large else self._attempt(job, running)

        # Failed jobs wait for the end of the round: beside another job, a repetition could run out of memory through no
        # fault of its own.
        jobs = itertools.takewhile(lambda _: not too_large, cut(left))
        outcomes = (
            streams.map(attempt, jobs, alone=lambda job: job.alone) if streams else map(attempt, _one_ahead(jobs))
        )
        for outcome in outcomes:
            if isinstance(outcome, _Attempt):
                (too_large if self._may_shrink(outcome) else failed).append(outcome)
            elif outcome:
                yield outcome
        if too_large:  # halved once, even if two ran out of memory side by side; the next round cuts both anew
            self._shrink(max(attempt.peak for attempt in too_large))
        for attempted in failed:
            yield from self._apart(attempted, cut)

    def _attempt(
        self, job: Job[Result], running: list[_Attempt[Result]]
    ) -> dict[int, Result | Failure] | _Attempt[Result]:
        """Run the job; returns its results, or the attempt if it failed. Several threads may call this at once."""
        mine = _Attempt(members=job.members, fallback=job.fallback, own=(job.tokens, job.scored))
        # If two jobs of 2,000 tokens run out of memory side by side, 4,000 tokens are too many, not 2,000. So each
        # attempt keeps the most that was computed at the same time.
        running.append(mine)
        at_once = list(running)
        peak = sum(other.own[0] for other in at_once), sum(other.own[1] for other in at_once)
        for other in at_once:
            other.peak = max(other.peak, peak)
            other.beside |= len(at_once) > 1
        try:
            return dict(job.run())
        except Exception as error:  # becomes a Failure if a single member causes it
            mine.line, mine.exhausted = self.note(error), ran_out_of_memory(error)
            return mine
        finally:
            running.remove(mine)

    def _may_shrink(self, failed: _Attempt[Result]) -> bool:
        """Whether computing less at a time may help; not if a single member ran out of memory by itself."""
        return failed.exhausted and self.budget.tokens > 1 and (failed.beside or len(failed.members) > 1)

    def _shrink(self, peak: tuple[int, int]) -> None:
        self.budget.halve(*peak)
        logger.warning("out of memory: continuing with %d tokens at a time", self.budget.tokens)
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _apart(self, failed: _Attempt[Result], cut: Cut[Result]) -> Iterator[dict[int, Result | Failure]]:
        """Find the members that cause the error: run them in the fallback's jobs, then one by one."""
        members, fallback = failed.members, failed.fallback
        # A single member without a fallback has nothing left to try. Nor has one for which memory ran out: rows, the
        # fallback of a pack, need more of it.
        if len(members) == 1 and (failed.exhausted or fallback is None):
            reason: FailureReason = "out_of_memory" if failed.exhausted else "error"
            yield {members[0]: Failure(reason=reason, message=failed.line)}
            return
        for group in [members] if fallback else [[index] for index in members]:
            yield from self.drain(group, fallback or cut)


def _one_ahead(jobs: Iterator[Job[Result]]) -> Iterator[Job[Result]]:
    """Make each job before the previous one runs, to be prepared meanwhile, except while a job runs alone."""
    made: Job[Result] | None = None
    for job in jobs:
        if made is not None:
            yield made
        made = None if job.alone else job
        if job.alone:
            yield job
    if made is not None:
        yield made


def ran_out_of_memory(error: Exception) -> bool:
    """Whether `error` means out of memory, so that a smaller batch might work."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return str(error) in _OUT_OF_MEMORY_OF_ONEDNN or any(text in str(error) for text in _OUT_OF_MEMORY)
