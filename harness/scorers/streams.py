"""Two forward passes side by side, each on half of the processor's threads.

Products of matrices keep the arithmetic units busy and most other steps keep the memory busy; run one after the other
on all threads, each waits for the other, and every step waits for its slowest thread. Two streams that are out of step
fill each other's gaps, and neither waits for the other: one that is done takes the next part.
"""

from __future__ import annotations

import functools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")

STREAMS = 2


@dataclass(slots=True)
class _Job:
    """What a stream runs next, what became of it, and where to say so."""

    run: Callable[[], Any]
    done: SimpleQueue[_Job]
    result: Any = None
    error: BaseException | None = None


_Work = SimpleQueue["_Job | None"]  # None ends a stream


class Streams:
    """Two threads that live as long as this object.

    They are no obstacle to the end of the process: one that hangs must not keep a written record waiting.
    """

    def __init__(self) -> None:
        self._work: _Work = SimpleQueue()
        threads = torch.get_num_threads()
        ready = threading.Barrier(STREAMS + 1)
        for share in (threads // STREAMS, threads - threads // STREAMS):
            arguments = (self._work, max(1, share), ready)
            threading.Thread(target=_serve, args=arguments, daemon=True, name="stream").start()
        ready.wait()
        # The number is each thread's own, but threads to come take the one that was set last.
        torch.set_num_threads(threads)
        weakref.finalize(self, _end, self._work)

    def map(self, run: Callable[[Part], Result], parts: Iterable[Part]) -> Iterator[Result]:
        """Run `parts` two at a time, begun in their order; yields results as they are done.

        A single part is run by the caller, on all threads. `parts` is read by the caller too, one part ahead. What
        `run` raises is raised here when nothing computes any more. Modes that torch keeps per thread (inference mode,
        function modes) are to be entered in `run`.
        """
        rest = iter(parts)
        following = list(_next(rest))
        done: SimpleQueue[_Job] = SimpleQueue()
        running = 0
        try:
            while following or running:
                while following and running < STREAMS:
                    part = following.pop()
                    following.extend(_next(rest))
                    if not running and not following:
                        yield run(part)
                        return
                    self._work.put(_Job(functools.partial(run, part), done))
                    running += 1
                job = done.get()
                running -= 1
                if job.error is not None:
                    raise job.error
                yield job.result
        finally:
            for _ in range(running):  # whatever is raised, and be it Ctrl-C
                done.get()


def _next(rest: Iterator[Part]) -> Iterator[Part]:
    """The next part, or nothing."""
    for part in rest:
        yield part
        return


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
        done.put(job)
        del job, done  # they hold the pass's results, which the one who waits may want to be rid of


def _end(work: _Work) -> None:
    for _ in range(STREAMS):
        work.put(None)
