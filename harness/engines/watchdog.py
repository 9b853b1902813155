"""Detect an engine that hangs: its batches are made in a thread, and each must arrive in time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator

from harness.engines.base import Batch


class EngineHungError(Exception):
    """No batch arrived in time. The engine's thread cannot be stopped; do not use the engine again."""


def with_watchdog(batches: Iterator[Batch], timeout_seconds: float | None) -> Iterator[Batch]:
    """Yield an engine's batches as they are made.

    The engine makes a batch only when the caller asks for one, which is after the caller has journalled the last. A
    thread that ran ahead would lose all that it had made when the process is killed.

    Args:
        batches: What `Engine.answer` returned.
        timeout_seconds: Longest time for one batch; None waits for ever, without a thread.

    Raises:
        EngineHungError: when a batch takes longer.
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
            batch = made.get(timeout=timeout_seconds)
        except queue.Empty:
            raise EngineHungError(f"the engine gave no answer for {timeout_seconds:g} s") from None
        if batch is None:
            return
        if isinstance(batch, BaseException):
            raise batch
        yield batch


def _make(batches: Iterator[Batch], wanted: queue.Queue[bool], made: queue.Queue[Batch | BaseException | None]) -> None:
    try:
        while wanted.get():
            made.put(next(batches, None))
    # Raised again in the thread that waits for the batch.
    except BaseException as error:
        made.put(error)
