"""Two forward passes side by side, each with half of the processor's threads.

Matrix products keep the arithmetic units busy, most other steps the memory. On all threads, one step after the other,
each kind waits for the other, and every step waits for its slowest thread. Two streams that are out of step fill each
other's gaps, and neither waits for the other: the one that is done takes the next part.

    all threads   product  norm  product  attention ...      (memory idle, units idle, memory idle, ...)
    stream 0      product  norm  product  attention ...
    stream 1         norm  product  attention  product ...

Measured on 2 cores, against one stream with the whole token budget: 1.12 times as fast at 0-shot, 1.17 at 5-shot with
each item's own examples, 1.34 with shared ones (float32; docs/scoring.md has the table).
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


# A part to run and where to put its result; None ends a stream. Not an executor: at its end the interpreter waits for
# an executor's threads, and one that hangs would keep it from ending.
_Work = SimpleQueue[tuple[Callable[[], Any], "Future[Any]"] | None]


class Streams:
    """Two threads that live as long as this object. A thread that hangs does not keep the process from ending."""

    def __init__(self) -> None:
        self._work: _Work = SimpleQueue()
        threads = torch.get_num_threads()
        ready = threading.Barrier(STREAMS + 1)
        for share in (threads // STREAMS, threads - threads // STREAMS):
            arguments = (self._work, max(1, share), ready)
            threading.Thread(target=_serve, args=arguments, daemon=True, name="stream").start()
        ready.wait()
        # Each thread has its own number, but new threads start with the one set last by any thread.
        torch.set_num_threads(threads)
        weakref.finalize(self, _end, self._work)

    def map(
        self,
        run: Callable[[Part], Result],
        parts: Iterable[Part],
        *,
        alone: Callable[[Part], bool] = lambda _: False,
    ) -> Iterator[Result]:
        """Run `parts` two at a time, started in their order; yields results as they are done.

        A part that must run `alone`, or has no other to run beside, is run by the caller with all threads while nothing
        else computes. For the parts a b C d e, of which C must run alone:

            stream 0   a     |       d
            stream 1   b     |       e
            caller             C

        The caller also reads `parts`, one part ahead, but never past one that runs alone: what that one computes may
        decide what comes next. What `run` raises is raised here once nothing computes any more. Modes that torch keeps
        per thread (inference mode, function modes) must be entered in `run`.
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
            wait(running)  # after any exception, Ctrl-C included

    def _begin(self, run: Callable[[], Result]) -> Future[Result]:
        future: Future[Result] = Future()
        self._work.put((run, future))
        return future


def _serve(work: _Work, threads: int, ready: threading.Barrier) -> None:
    # The first call in a thread replaces its number by the process's, so it has to come before the number is set.
    torch.get_num_threads()
    torch.set_num_threads(threads)
    ready.wait()
    while (job := work.get()) is not None:
        _settle(*job)
        del job  # it holds the pass's results, whose memory the caller may need to free


def _settle(run: Callable[[], Any], future: Future[Any]) -> None:
    try:
        result = run()
    except BaseException as error:  # raised again in the thread that waits
        future.set_exception(error)
    else:
        future.set_result(result)


def _end(work: _Work) -> None:
    for _ in range(STREAMS):
        work.put(None)
