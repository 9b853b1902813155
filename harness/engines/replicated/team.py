"""Where replicas run: what a team and a replica must do."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

from harness.engines.replicated.worker import Reply


class ReplicaDied(Exception):  # noqa: N818 - a signal inside this package
    """The replica's process or machine is lost, or its engine cannot go on."""


class Replica(Protocol):
    """One replica, seen from the driver."""

    def call(self, name: str, *arguments: Any) -> Reply:
        """Call a method of its `worker.Worker` and wait for the reply.

        Raises:
            ReplicaDied: it is lost.
        """


class Team(Protocol):
    """The places of replicas. It lives as long as the command; models follow each other on the same replicas."""

    @property
    def turns(self) -> Sequence[threading.Lock]:
        """A lock for each place, which an engine holds while it uses the place."""

    def launch(self, place: int) -> Replica | None:
        """Return the replica of a place, from 0; start it, or wait for it, if there is none.

        Returns None when the team is closed.

        Raises:
            HarnessError: it cannot be started.
        """

    def renew(self, place: int) -> None:
        """Say that the engine of a replica died, or the replica itself: `launch` then starts another, if it can."""

    def abandon(self, place: int) -> None:
        """Say that nobody waits any more for the reply of a replica, which may be long in coming."""

    def close(self, exit_code: int) -> None:
        """End all replicas. Ranks leave with this exit code."""
