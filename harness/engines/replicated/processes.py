"""Replicas in processes on this machine: each with its own GPUs, or its share of the cores."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import harness
from harness.engines.replicated.connected import ConnectedReplica
from harness.engines.replicated.team import Replica
from harness.engines.replicated.worker import serve

SECONDS_TO_END = 3.0


class Processes:
    """One process per place; a process that died is replaced.

    Args:
        environments: For each place, the variables that give it its devices.
    """

    def __init__(self, environments: Sequence[Mapping[str, str]]) -> None:
        self._environments = environments
        self.turns = [threading.Lock() for _ in environments]
        self._changing = threading.Lock()
        self._running: dict[int, _Process] = {}
        self._closed = False

    def launch(self, place: int) -> Replica | None:
        """Return the replica of a place; start its process if there is none."""
        with self._changing:
            if self._closed:
                return None
            if place not in self._running:
                self._running[place] = _Process(self._environments[place])
            return self._running[place].replica

    def renew(self, place: int) -> None:
        """End the process of a place."""
        with self._changing:
            process = self._running.pop(place, None)
        if process is not None:
            process.kill()

    def abandon(self, place: int) -> None:
        """End the process of a place, even if it is working."""
        self.renew(place)

    def close(self, exit_code: int = 0) -> None:
        """End all processes."""
        with self._changing:
            self._closed = True
            running, self._running = self._running, {}
        for process in running.values():
            process.replica.end(exit_code)
        for process in running.values():
            process.finish()


class _Process:
    """A running replica. It has its own session: Ctrl-C reaches only the driver, which then ends the replica."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        ours, theirs = Pipe()
        source = str(Path(harness.__file__).resolve().parent.parent)
        path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [sys.executable, "-m", "harness.engines.replicated.processes", str(theirs.fileno())],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**os.environ, **environment, "PYTHONPATH": path},
            start_new_session=True,
        )
        theirs.close()
        self.replica = ConnectedReplica(ours, f"process {self._process.pid}")

    def finish(self) -> None:
        """Wait for a process to exit; kill it if it does not."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=SECONDS_TO_END)
        self.kill()

    def kill(self) -> None:
        """End the process and its children."""
        if self._process.poll() is None:  # afterwards, its number may belong to another process
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self.replica.close()


def main(descriptor: int) -> int:
    """Be a replica. Ctrl-C is for the driver, which ends this process."""
    from harness.console import quiet_libraries

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    quiet_libraries()
    return serve(Connection(descriptor))


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1])))
