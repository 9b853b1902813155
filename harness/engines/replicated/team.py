"""Where replicas run: what a team and a replica must do."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from harness.engines.replicated.worker import Reply


class ReplicaDied(Exception):  # noqa: N818 - a signal inside this package
    """The replica's process or machine is lost, or its engine cannot go on."""


class Replica(Protocol):
    """One replica, seen from the driver."""

    def call(self, name: str, *arguments: Any) -> Iterator[Reply]:
        """Call a method of its `worker.Worker`; yields each reply when it arrives. The caller takes all of them.

        Raises:
            ReplicaDied: it is lost.
        """


class Team(Protocol):
    """A fixed number of places, each with one replica. It serves one model after another, until the command ends."""

    @property
    def turns(self) -> Sequence[threading.Lock]:
        """One lock per place; an engine holds it while it uses the place."""

    def launch(self, place: int) -> Replica | None:
        """Return the replica of a place (numbered from 0); if there is none, start it or wait for it.

        Returns None when the team is closed.

        Raises:
            HarnessError: it cannot be started.
        """

    def renew(self, place: int) -> None:
        """Report that a replica or its engine died; `launch` then starts another, if possible."""

    def abandon(self, place: int) -> None:
        """Report that the reply of a replica, which may still take long, is no longer needed."""

    def close(self, exit_code: int) -> None:
        """End all replicas. Ranks exit with this code."""
