"""Run jobs on a Ray cluster: each is a remote function that runs the node's command as a process.

    harness run study.yaml --output_path runs/study --executor ray --ray_address ray-head:6379

Without an address, a cluster of this machine alone is started. The study's folder must be on a file system that all
machines share. A job whose worker or machine is lost is run again, by Ray and then by the runner.
"""

from __future__ import annotations

import importlib.util
import socket
from contextlib import suppress
from typing import Any

from harness.errors import InputError
from harness.study.executors import Job, Options
from harness.study.executors.process import run

DIED = -1
RETRIES = 2  # of a remote function whose worker is lost
SECONDS_TO_ANSWER = 10.0


class RayExecutor:
    """Runs a remote function per job."""

    slots: int | None = None

    def __init__(self, options: Options) -> None:
        """Raises: InputError: ray is not installed, or the cluster does not answer."""
        if importlib.util.find_spec("ray") is None:
            raise InputError("--executor ray: needs ray, which is not installed; install stage-harness[ray].")
        arguments = dict(options.arguments)
        address = arguments.pop("ray_address", None)
        if arguments:
            raise InputError(f"--executor_args {next(iter(arguments))}: the ray executor has none.")
        if address is not None:
            _check_answers(address)
        import ray

        self._ray: Any = ray
        try:
            own = {} if address is not None else {"include_dashboard": False}
            ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise InputError(f"--ray_address {address}: Ray cannot be reached ({error}); check the address.") from None
        self._run = ray.remote(run)

    def submit(self, job: Job) -> Any:
        """Queue the job's remote function."""
        needs = job.needs
        memory = {"memory": int(needs.memory_gb * 1e9)} if needs.memory_gb is not None else {}
        remote = self._run.options(
            num_cpus=needs.cpus or 1, num_gpus=needs.gpus, max_retries=RETRIES, name=job.name, **memory
        )
        return remote.remote(job)

    def poll(self, handle: Any) -> int | None:
        """Return the command's exit code; `DIED` if its worker was lost."""
        ready, _ = self._ray.wait([handle], timeout=0)
        if not ready:
            return None
        try:
            return int(self._ray.get(handle))
        except self._ray.exceptions.RayError:
            return DIED

    def cancel(self, handle: Any) -> None:
        """End the job's worker, with which its process ends."""
        with suppress(self._ray.exceptions.RayError):
            self._ray.cancel(handle, force=True)


def _check_answers(address: str) -> None:
    """Raises: InputError: nothing answers at this address within `SECONDS_TO_ANSWER`."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        raise InputError(f"--ray_address {address}: give HOST:PORT, such as ray-head:6379.")
    try:
        with socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER):
            return
    except OSError as error:
        raise InputError(
            f"--ray_address {address}: does not answer within {SECONDS_TO_ANSWER:.0f} s ({error}); check the address, "
            "or leave it out to start Ray on this machine."
        ) from None
