"""Two forward passes side by side, each on half of the processor's threads.

Products of matrices keep the arithmetic units busy and most other steps keep the memory busy; run one after the other
on all threads, each waits for the other, and every step waits for its slowest thread. Two streams that are out of step
fill each other's gaps, and neither waits for the other: one that is done takes the next part.
"""

from __future__ import annotations

import functools
import itertools
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from queue import SimpleQueue
from typing import Any, TypeVar

import torch

Part = TypeVar("Part")
Result = TypeVar("Result")

STREAMS = 2


# A part to run and where to put its result; None ends a stream. Not an executor, whose threads the process waits for.
_Work = SimpleQueue[tuple[Callable[[], Any], "Future[Any]"] | None]


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

    def map(
        self,
        run: Callable[[Part], Result],
        parts: Iterable[Part],
        *,
        alone: Callable[[Part], bool] = lambda _: False,
    ) -> Iterator[Result]:
        """Run `parts` two at a time, begun in their order; yields results as they are done.

        A part that is to run `alone`, or has no other to run beside, is run by the caller on all threads while nothing
        else computes. `parts` is read by the caller too, one part ahead, but never past one that runs alone: what
        that one computes may decide what comes next. What `run` raises is raised here when nothing computes any more.
        Modes that torch keeps per thread (inference mode, function modes) are to be entered in `run`.
        """
        rest = iter(parts)
        ahead = list(itertools.islice(rest, 1))
        running: set[Future[Result]] = set()
        try:
            while ahead or running:
                if not ahead or len(running) == STREAMS or (running and alone(ahead[0])):
                    done = wait(running, return_when=FIRST_COMPLETED).done
                    running -= done
                    yield from (future.result() for future in done)
                    continue
                part = ahead.pop()
                if alone(part):
                    yield run(part)
                    ahead = list(itertools.islice(rest, 1))
                    continue
                ahead = list(itertools.islice(rest, 1))
                if running or (ahead and not alone(ahead[0])):
                    running.add(self._begin(functools.partial(run, part)))
                else:
                    yield run(part)
        finally:
            wait(running)  # whatever is raised, and be it Ctrl-C

    def _begin(self, run: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        self._work.put((run, future))
        return future


def _serve(work: _Work, threads: int, ready: threading.Barrier) -> None:
    torch.get_num_threads()  # a thread takes the process's number when it is first asked, and forgets what was set
    torch.set_num_threads(threads)
    ready.wait()
    while (job := work.get()) is not None:
        _settle(*job)
        del job  # it holds the pass's results, which the one who waits may want to be rid of


def _settle(run: Callable[[], Any], future: Future[Any]) -> None:
    try:
        result = run()
    except BaseException as error:  # belongs to the one who waits
        future.set_exception(error)
    else:
        future.set_result(result)


def _end(work: _Work) -> None:
    for _ in range(STREAMS):
        work.put(None)
