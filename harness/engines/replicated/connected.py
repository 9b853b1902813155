"""A replica in another process, at the other end of a connection."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

from harness.engines.replicated.team import ReplicaDied
from harness.engines.replicated.worker import Reply


class ConnectedReplica:
    """Sends calls to `worker.serve` in another process.

    Args:
        connection: To the process.
        name: Of the replica, for messages.
    """

    def __init__(self, connection: Connection[Any, Any], name: str) -> None:
        self._connection = connection
        self._name = name
        self._sending = threading.Lock()
        self.lost = False

    def call(self, name: str, *arguments: Any) -> Iterator[Reply]:
        """Call a method; yields the replies as they arrive. Raises: ReplicaDied: the process has ended."""
        try:
            with self._sending:
                self._connection.send((name, arguments))
            word = "batch"
            while word == "batch":
                reply: Reply = self._connection.recv()
                word = reply[0]
                yield reply
        except (EOFError, OSError, TypeError) as error:  # TypeError: another thread has closed the connection
            self.lost = True
            raise ReplicaDied(f"{self._name} has ended") from error

    def end(self, exit_code: int) -> None:
        """Tell the process to exit when it is idle."""
        with contextlib.suppress(OSError), self._sending:
            self._connection.send(("end", (exit_code,)))

    def close(self) -> None:
        """Close the connection; the process ends at once."""
        self.lost = True
        with contextlib.suppress(OSError):
            self._connection.close()
