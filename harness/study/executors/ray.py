"""Run jobs on a Ray cluster: each is a remote function that runs the node's command as a process.

    harness run study.yaml --output_path runs/study --executor ray --ray_address ray-head:6379

Without an address, a cluster of this machine alone is started. The study's folder must be on a file system that all
machines share. A job whose worker or machine is lost is run again, by Ray and then by the runner.
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from harness.errors import InputError, one_line
from harness.study.executors import DIED, Job, Options
from harness.study.executors.needs import NeedsSpec
from harness.study.executors.process import SECONDS_TO_END, note, run

RETRIES = 2  # of a remote function whose worker is lost
SECONDS_TO_ANSWER = 10.0
OBJECT_STORE_BYTES = 100_000_000  # for a cluster on this machine; the only objects are jobs and exit codes
# Connects in a separate process: without an answer, Ray waits for a minute and then aborts the process.
PROBE = """
import sys, ray
print("ready", flush=True)
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level="CRITICAL")
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""
# Waits until the process that started it has ended, and then ends what is left of its cluster: two of Ray's processes
# would try for a minute to report the end of the others, which have ended with it.
REAPER = """
import contextlib, sys, psutil
sys.stdin.read()
for process in map(int, sys.argv[1:]):
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(process)
        if process.name().startswith("ray::"):
            process.kill()
"""


@dataclass(frozen=True, kw_only=True)
class _Task:
    """A job and the reference to its exit code."""

    job: Job
    code: Any


class RayExecutor:
    """Runs a remote function per job."""

    slots: int | None = None

    def __init__(self, options: Options) -> None:
        """Raises: InputError: ray is not installed, the cluster does not answer, or no machine has what is needed."""
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
        # "local" starts a cluster even where RAY_ADDRESS names one.
        own = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES} if address is None else {}
        try:
            ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **own)
        except (ConnectionError, RuntimeError, ValueError) as error:
            reason = one_line(error, max_characters=200)
            raise InputError(f"--executor ray: Ray cannot be started or reached ({reason}).") from None
        if own:
            self._reaper = _start_reaper()
        self._run = ray.remote(run)
        for needs in options.needs:
            _check_fits(needs, [machine["Resources"] for machine in ray.nodes() if machine["Alive"]])

    def submit(self, jobs: Sequence[Job]) -> list[_Task]:
        """Queue a remote function per job."""
        return [_Task(job=job, code=self._queued(job)) for job in jobs]

    def _queued(self, job: Job) -> Any:
        wanted = _resources(job.needs)
        memory = {"memory": int(wanted["memory"])} if "memory" in wanted else {}
        remote = self._run.options(
            num_cpus=wanted["CPU"], num_gpus=wanted["GPU"], max_retries=RETRIES, name=job.name, **memory
        )
        return remote.remote(job)

    def poll(self, handle: _Task) -> int | None:
        """Return the command's exit code; `DIED` if its worker was lost."""
        ready, _ = self._ray.wait([handle.code], timeout=0)
        if not ready:
            return None
        try:
            return int(self._ray.get(handle.code))
        except self._ray.exceptions.RayError as error:
            note(handle.job, f"ray: {one_line(error, max_characters=300)}")
            return DIED

    def cancel(self, handle: _Task) -> None:
        """End the job's worker, with which its process ends."""
        with suppress(self._ray.exceptions.RayError):
            self._ray.cancel(handle.code, force=True)
            self._ray.wait([handle.code], timeout=SECONDS_TO_END)


def _start_reaper() -> subprocess.Popen[bytes]:
    """Start the process that ends the rest of this process's cluster when this process has ended."""
    import psutil  # type: ignore[import-untyped]

    started = [str(process.pid) for process in psutil.Process().children(recursive=True)]
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", REAPER, *started],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _resources(needs: NeedsSpec) -> dict[str, float]:
    """Return needs in Ray's terms: ``{"CPU": 1, "GPU": 0, "memory": 4e9}``, memory in bytes if it matters."""
    memory = {} if needs.memory_gb is None else {"memory": needs.memory_gb * 1e9}
    return {"CPU": needs.cpus or 1, "GPU": needs.gpus, **memory}


def _check_fits(needs: NeedsSpec, machines: Sequence[Mapping[str, float]]) -> None:
    """Check that a machine is large enough; Ray itself would wait without end for one.

    Raises:
        InputError: none of these machines, given by their resources, is.
    """
    wanted = _resources(needs)
    if any(all(machine.get(name, 0) >= amount for name, amount in wanted.items()) for machine in machines):
        return
    there = dict.fromkeys(_described(machine, wanted) for machine in machines)
    raise InputError(
        f"--executor ray: no machine of the cluster has what a node needs ({_described(wanted, wanted)}); the machines "
        f"have {' | '.join(there) or 'nothing'}; correct `needs`, or add a machine first."
    )


def _described(resources: Mapping[str, float], names: Iterable[str]) -> str:
    """Return ``CPU 2, GPU 0, memory 4 GB``."""
    amounts = {name: resources.get(name, 0) for name in names}
    return ", ".join(f"{name} {f'{n / 1e9:g} GB' if name == 'memory' else f'{n:g}'}" for name, n in amounts.items())


def _check_answers(address: str) -> None:
    """Raises: InputError: no cluster answers at this address within `SECONDS_TO_ANSWER`."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        raise InputError(f"--ray_address {address}: give HOST:PORT, such as ray-head:6379.")
    try:
        with socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER):
            pass
        reason = _probe(address)
    except OSError as error:
        reason = str(error)
    if reason is not None:
        raise InputError(
            f"--ray_address {address}: does not answer within {SECONDS_TO_ANSWER:.0f} s ({reason}); check the address, "
            "or leave it out to start Ray on this machine."
        )


def _probe(address: str) -> str | None:
    """Connect to a cluster in another process; return why that did not work, or None."""
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", PROBE, address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # only then start the timer: importing Ray takes seconds
        timer = threading.Timer(SECONDS_TO_ANSWER, process.kill)
        timer.start()
        _, errors = process.communicate()
        timer.cancel()
    if process.returncode == 0:
        return None
    return "no answer" if process.returncode < 0 else " ".join(errors.split())[-200:]
