"""Two parts of a pack side by side, each on half of the processor's threads.

Products of matrices keep the arithmetic units busy and most other steps keep the memory busy; run one after the other
on all threads, each waits for the other, and every step waits for its slowest thread. Two streams that are out of step
fill each other's gaps.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, TypeVar

import torch

from harness.scorers.prefix import Unit

Part = TypeVar("Part")
Result = TypeVar("Result")

_STREAMS = 2
# Beyond this ratio of their tokens, the stream that is done first idles for longer than two streams save.
_EVEN = 1.25


@dataclass(slots=True)
class _Job:
    """What a stream runs next, and what became of it."""

    run: Callable[[], Any]
    result: Any = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


_Work = SimpleQueue["_Job | None"]  # None ends a stream


def halves(units: Sequence[Unit]) -> list[list[Unit]]:
    """Share `units` out in two parts of about as many tokens, or leave them in one where that cannot be."""
    parts: list[list[Unit]] = [[] for _ in range(_STREAMS)]
    tokens = [0] * _STREAMS
    for unit in sorted(units, key=lambda unit: -len(unit.tokens)):
        least = tokens.index(min(tokens))
        parts[least].append(unit)
        tokens[least] += len(unit.tokens)
    return parts if max(tokens) <= _EVEN * min(tokens) else [list(units)]


class Streams:
    """Two threads that live as long as this object.

    They are no obstacle to the end of the process: one that hangs must not keep a written record waiting.
    """

    def __init__(self) -> None:
        self._work: _Work = SimpleQueue()
        threads = torch.get_num_threads()
        ready = threading.Barrier(_STREAMS + 1)
        for share in (threads // _STREAMS, threads - threads // _STREAMS):
            arguments = (self._work, max(1, share), ready)
            threading.Thread(target=_serve, args=arguments, daemon=True, name="stream").start()
        ready.wait()
        # The number is each thread's own, but threads to come take the one that was set last.
        torch.set_num_threads(threads)
        weakref.finalize(self, _end, self._work)

    def map(self, run: Callable[[Part], Result], parts: Sequence[Part]) -> list[Result]:
        """Run two parts at once; returns their results in order, or raises what the first of them raised.

        Modes that torch keeps per thread (inference mode, function modes) are to be entered in `run`.
        """
        jobs = [_Job(functools.partial(run, part)) for part in parts]
        for job in jobs:
            self._work.put(job)
        try:
            _wait(jobs)
            for job in jobs:
                if job.error is not None:
                    raise job.error
            return [job.result for job in jobs]
        finally:
            _wait(jobs)  # whatever is raised, and be it Ctrl-C: nothing computes behind it
            # An error's traceback holds this frame, which would hold the error, and with it the failed pass's tensors.
            del jobs, job


def _wait(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.done.wait()


def _serve(work: _Work, threads: int, ready: threading.Barrier) -> None:
    torch.get_num_threads()  # a thread takes the process's number when it is first asked, and forgets what was set
    torch.set_num_threads(threads)
    ready.wait()
    while (job := work.get()) is not None:
        try:
            job.result = job.run()
        except BaseException as error:  # belongs to the one who waits
            job.error = error
        done = job.done
        del job  # it holds the pass's tensors, which the one who waits may want to be rid of
        done.set()


def _end(work: _Work) -> None:
    for _ in range(_STREAMS):
        work.put(None)
