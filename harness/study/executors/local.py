"""Run jobs as processes of this machine: one at a time, or ``--jobs N``.

A job with ``gpus: N`` sees N of this machine's GPUs, and no other job that needs GPUs sees them meanwhile. Otherwise
transformers would take a batch for each GPU that it sees. Jobs without such a need see all GPUs. On a machine without
GPUs, the processes of a job compute on the CPU.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.engines.replicated.devices import VISIBLE, visible_gpus
from harness.errors import InputError
from harness.study.executors import Job, Options
from harness.study.executors.process import end, start


@dataclass(kw_only=True, eq=False)
class _Started:
    """A job that was submitted.

    Attributes:
        job: The job.
        process: Its process; None while it waits for GPUs.
        gpus: The GPUs that it holds.
    """

    job: Job
    process: subprocess.Popen[bytes] | None = None
    gpus: Sequence[str] = ()


class LocalExecutor:
    """Starts a process per job; it ends when this process ends."""

    def __init__(self, options: Options, gpus: Sequence[str] | None = None) -> None:
        """Take this machine's GPUs, or those given: names as in CUDA_VISIBLE_DEVICES.

        Raises:
            InputError: it was given arguments, of which it has none, or a node needs more GPUs than there are.
        """
        if options.arguments:
            raise InputError(f"--executor_args {next(iter(options.arguments))}: the local executor has none.")
        self.slots: int | None = options.jobs
        most = max((needs.gpus for needs in options.needs), default=0)
        if gpus is None:
            gpus = visible_gpus() if most else ()  # finding them imports torch
        if gpus and most > len(gpus):
            raise InputError(
                f"needs.gpus {most}: a node needs more GPUs than the {len(gpus)} of this machine; give at most "
                f"{len(gpus)}, or another --executor."
            )
        self._has_gpus = bool(gpus)
        self._free = list(gpus)
        self._waiting: list[_Started] = []

    def submit(self, jobs: Sequence[Job]) -> list[_Started]:
        """Start the jobs' processes, as far as there are GPUs for them."""
        handles = [_Started(job=job) for job in jobs]
        self._waiting += handles
        self._start_waiting()
        return handles

    def _start_waiting(self) -> None:
        """Start the jobs for which there are GPUs; one that needs more is not overtaken."""
        while self._waiting:
            count = self._waiting[0].job.needs.gpus if self._has_gpus else 0
            if count > len(self._free):
                return
            first = self._waiting.pop(0)
            first.gpus, self._free = self._free[:count], self._free[count:]
            own = {VISIBLE: ",".join(first.gpus)} if first.gpus else {}
            first.process = start(replace(first.job, environment={**first.job.environment, **own}))

    def poll(self, handle: _Started) -> int | None:
        """Return the exit code, or minus the number of the signal that ended the process."""
        code = None if handle.process is None else handle.process.poll()
        if code is not None:
            self._release(handle)
            self._start_waiting()
        return code

    def cancel(self, handle: _Started) -> None:
        """End the process and what it has started; start no other job with its GPUs."""
        if handle in self._waiting:
            self._waiting.remove(handle)
        if handle.process is not None:
            end(handle.process)
            self._release(handle)

    def _release(self, handle: _Started) -> None:
        self._free += handle.gpus
        handle.gpus = ()
