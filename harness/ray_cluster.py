"""Connect to a Ray cluster, or start one on this machine; error messages name the remedy.

    ray = open_cluster("ray-head:6379", user="--executor ray", flag="--ray_address ")

Without this module, Ray waits a minute for a cluster that does not answer, and then ends the process.
"""

from __future__ import annotations

import importlib.util
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from harness.errors import InputError, one_line

SECONDS_TO_ANSWER = 10.0
OBJECT_STORE_BYTES = 100_000_000  # for a cluster on this machine; the objects are small
# Connects in a separate process: without an answer, Ray waits for a minute and then aborts the process.
PROBE = """
import sys, ray
print("ready", flush=True)
try:
    ray.init(address=sys.argv[1], log_to_driver=False, logging_level="CRITICAL")
except Exception as error:
    sys.exit(f"{type(error).__name__}: {error}")
"""
# Waits until the process that started it has ended, and then kills the remaining processes of its cluster. Otherwise
# two of Ray's processes would try for a minute to report to processes that have already ended.
REAPER = """
import contextlib, sys, psutil
sys.stdin.read()
for process in map(int, sys.argv[1:]):
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(process)
        if process.name().startswith("ray::"):
            process.kill()
"""
_reapers: list[subprocess.Popen[bytes]] = []  # kept open: when this process ends, their standard input closes


def open_cluster(address: str | None, *, user: str, flag: str) -> Any:
    """Return the module `ray`, connected.

    Args:
        address: ``HOST:PORT``; None starts a cluster of this machine alone, even where RAY_ADDRESS names one.
        user: The option that needs Ray, such as ``--executor ray``, for messages.
        flag: The text before the address on the command line, for messages.

    Raises:
        InputError: ray is not installed, or the cluster does not answer.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError(f"{user}: needs ray, which is not installed; install stage-harness[ray].")
    if address is not None:
        _check_answers(address, flag)
    import ray

    own = {"include_dashboard": False, "object_store_memory": OBJECT_STORE_BYTES} if address is None else {}
    try:
        ray.init(address=address or "local", log_to_driver=False, logging_level="ERROR", **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = one_line(error, max_characters=200)
        raise InputError(f"{user}: Ray cannot be started or reached ({reason}).") from None
    if own:
        _reapers.append(_start_reaper())
    return ray


def _start_reaper() -> subprocess.Popen[bytes]:
    """Start a process that kills what is left of this process's cluster after this process has ended."""
    import psutil  # type: ignore[import-untyped]

    started = [str(process.pid) for process in psutil.Process().children(recursive=True)]
    return subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", REAPER, *started],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _check_answers(address: str, flag: str) -> None:
    """Raises: InputError: no cluster answers at this address within `SECONDS_TO_ANSWER`."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdigit():
        raise InputError(f"{flag}{address}: give HOST:PORT, such as ray-head:6379.")
    began = time.monotonic()
    try:
        with socket.create_connection((host, int(port)), timeout=SECONDS_TO_ANSWER):
            pass
        reason = _probe(address, SECONDS_TO_ANSWER - (time.monotonic() - began))
    except OSError as error:
        reason = str(error)
    if reason is not None:
        raise InputError(
            f"{flag}{address}: does not answer within {SECONDS_TO_ANSWER:.0f} s ({reason}); check the address, "
            "or leave it out to start Ray on this machine."
        )


def _probe(address: str, seconds: float) -> str | None:
    """Connect to a cluster in another process, in so many seconds; return why that did not work, or None."""
    with subprocess.Popen(  # noqa: S603 - our own command
        [sys.executable, "-c", PROBE, address], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()  # only then start the timer: importing Ray takes seconds
        timer = threading.Timer(seconds, process.kill)
        timer.start()
        _, errors = process.communicate()
        timer.cancel()
    if process.returncode == 0:
        return None
    return "no answer" if process.returncode < 0 else " ".join(errors.split())[-200:]
