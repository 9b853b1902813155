"""Notice an engine that hangs: its batches are made in a thread, and a clock is kept on each."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from harness.engines.base import Batch


class EngineHungError(Exception):
    """No batch came within the time allowed. The engine's thread cannot be stopped and must be left alone."""


def with_watchdog(batches: Iterator[Batch], timeout_seconds: float | None) -> Iterator[Batch]:
    """Yield the batches as they come.

    The engine goes on only when the last batch was taken (what it has begun goes on), so that a kill costs what is
    being computed and no more.

    Raises:
        EngineHungError: when one takes longer than `timeout_seconds`; None waits for ever, without a thread.
    """
    if timeout_seconds is None:
        yield from batches
        return
    wanted: queue.Queue[bool] = queue.Queue()
    made: queue.Queue[Batch | BaseException | None] = queue.Queue()
    threading.Thread(target=_make, args=(batches, wanted, made), daemon=True, name="engine").start()
    while True:
        wanted.put(True)
        try:
            found = made.get(timeout=timeout_seconds)
        except queue.Empty:
            raise EngineHungError(f"the engine gave no answer for {timeout_seconds:g} s") from None
        if found is None:
            return
        if isinstance(found, BaseException):
            raise found
        yield found


def _make(batches: Iterator[Batch], wanted: queue.Queue[bool], made: queue.Queue[Batch | BaseException | None]) -> None:
    try:
        while wanted.get():
            made.put(next(batches, None))
    # Whatever the engine raises belongs to the one who waits for it.
    except BaseException as error:
        made.put(error)
