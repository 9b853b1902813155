"""What runs in a replica: it opens engines and answers chunks, and does not depend on where it runs.

A reply is a pair of a word and a value, so that it can be sent to another process or machine. A call has a last reply,
and before it, if it answers requests, one for each batch:

    ("batch", [(3, Answer(...)), (0, Failure(...))])    ("batch", [(1, Answer(...)), (2, Answer(...))])    ("ok", None)

Other last replies: ("refused", "--dtype float16: ...")    ("failed", "...")    ("died", "RuntimeError: ...")
"""

from __future__ import annotations

import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from multiprocessing.connection import Connection
from typing import Any, Literal

from harness.engines.base import Batch, Engine, EngineDied, Request
from harness.engines.engine_pool import POOL
from harness.engines.replicated.recipe import Recipe
from harness.errors import HarnessError, InputError, one_line

SECONDS_TO_END = 30.0
Reply = tuple[Literal["batch", "ok", "refused", "failed", "died"], Any]


class Worker:
    """Holds one engine at a time; an engine that can serve several models stays open between them."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._kept_open = ExitStack()
        self._kept_open.enter_context(POOL.keep_open())

    def call(self, name: str, *arguments: Any) -> Iterator[Reply]:
        """Call `open`, `answer` or `close`; yields each reply as soon as it is known, and never raises."""
        methods: dict[str, Callable[..., Any]] = {"open": self.open, "close": self.close}
        try:
            if name == "answer":
                for batch in self.answer(*arguments):
                    yield "batch", batch
                yield "ok", None
            else:
                yield "ok", methods[name](*arguments)
        except InputError as error:
            yield "refused", str(error)
        except HarnessError as error:
            yield "failed", str(error)
        except EngineDied as death:
            yield "died", str(death)
        except Exception as error:  # any other error of an engine; the driver sends the requests to another replica
            yield "died", f"{type(error).__name__}: {one_line(error, max_characters=300)}"

    def open(self, recipe: Recipe) -> dict[str, Any]:
        """Open the engine of a model and return its description."""
        self.close()
        self._engine = recipe.open()
        return self._engine.description

    def answer(self, requests: Sequence[Request]) -> Iterator[Batch]:
        """Answer requests; the indices are places in `requests`."""
        assert self._engine is not None, "open comes first"
        return self._engine.answer(requests)

    def close(self) -> None:
        """Free the engine's memory."""
        if self._engine is not None:
            engine, self._engine = self._engine, None
            engine.close()

    def end(self) -> None:
        """Free the memory of all engines, also of one that is kept open for the next model."""
        try:
            self.close()
        finally:
            self._kept_open.close()


def serve(connection: Connection[Any, Any]) -> int:
    """Answer the calls that arrive until ``("end", exit code)``; return that code.

    The process ends at once when the driver is gone, even in the middle of a chunk.
    """
    calls: queue.Queue[tuple[str, tuple[Any, ...]]] = queue.Queue()
    threading.Thread(target=_receive, args=(connection, calls), daemon=True, name="calls").start()
    worker = Worker()
    while True:
        name, arguments = calls.get()
        if name == "end":
            worker.end()
            return int(arguments[0])
        for reply in worker.call(name, *arguments):
            connection.send(reply)


def _receive(connection: Connection[Any, Any], calls: queue.Queue[tuple[str, tuple[Any, ...]]]) -> None:
    name, code = "", 1
    try:
        while name != "end":
            name, arguments = connection.recv()
            calls.put((name, arguments))
        code = int(arguments[0])
        time.sleep(SECONDS_TO_END)  # the main thread may still compute a chunk that is no longer needed
    finally:
        os._exit(code)
