"""Run jobs as processes of this machine: one at a time, or ``--jobs N``."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from harness.errors import InputError
from harness.study.executors import Job, Options
from harness.study.executors.process import end, start


class LocalExecutor:
    """Starts a process per job; it ends when this process ends."""

    def __init__(self, options: Options) -> None:
        """Raises: InputError: it was given arguments, of which it has none."""
        if options.arguments:
            raise InputError(f"--executor_args {next(iter(options.arguments))}: the local executor has none.")
        self.slots: int | None = options.jobs

    def submit(self, jobs: Sequence[Job]) -> list[subprocess.Popen[bytes]]:
        """Start the jobs' processes."""
        return [start(job) for job in jobs]

    def poll(self, handle: subprocess.Popen[bytes]) -> int | None:
        """Return the exit code, or minus the number of the signal that ended the process."""
        return handle.poll()

    def cancel(self, handle: subprocess.Popen[bytes]) -> None:
        """End the process and what it has started."""
        end(handle)
