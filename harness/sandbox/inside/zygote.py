"""The keeper: a warm interpreter that forks one process a solution and kills whatever it leaves.

It is forked from the examiner before any test is read, and so are its children from it: no solution can find in its
own memory what an earlier program or its tests held.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
from pathlib import Path
from typing import Any

from . import solution, wire

# The keeper is the first child of the first process of a namespace.
_NAMESPACE_PIDS = (1, 2)
MAX_REMOVED_FILES = 16


def in_own_namespace() -> bool:
    """Whether this process has a process namespace of its own, so that ``kill(-1)`` reaches only what it started."""
    return (os.getppid(), os.getpid()) == _NAMESPACE_PIDS


def set_limits(limits: dict[str, Any]) -> None:
    """Lower this process's limits for good; they are inherited. ``processes`` 0: something outside counts them."""
    values = {
        resource.RLIMIT_CPU: int(limits["cpu_seconds"]) + 1,
        resource.RLIMIT_AS: limits["memory_mb"] << 20,
        resource.RLIMIT_FSIZE: limits["file_mb"] << 20,
        resource.RLIMIT_NOFILE: 64,
        resource.RLIMIT_CORE: 0,
    }
    if limits["processes"]:
        values[resource.RLIMIT_NPROC] = limits["processes"]
    for kind, value in values.items():
        resource.setrlimit(kind, (value, value))


def fork_solution(limits: dict[str, Any], channel: int, output: int) -> int:
    """Fork a process for a solution; it keeps `channel` as 3 and `output` as 1 and 2, nothing else."""
    pid = os.fork()
    if pid:
        return pid
    try:
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (output, 1), (output, 2), (channel, 3)):
            os.dup2(source, target)
        os.closerange(4, 1 << 20)
        set_limits(limits)
        solution.serve(3)
    finally:
        os._exit(70)


def kill_and_reap(child: int) -> tuple[int, float]:
    """Kill and reap all that the program left; returns its first process's wait status and the CPU seconds of all.

    In a process namespace of our own one call reaches every process but this one and the first, and no fork can outrun
    it. Without one, orphans are inherited and killed until none is left.
    """
    status, seconds = 0, 0.0
    if in_own_namespace():
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    while True:
        if not in_own_namespace():
            _kill_children(child)
        try:
            pid, wait_status, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return status, seconds
        seconds += usage.ru_utime + usage.ru_stime
        if pid == child:
            status = wait_status


def _kill_children(group: int) -> None:
    """Kill the program's process group and whatever has become a child of this process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def remove_files() -> bool:
    """Remove the few plain files that a program may have left; returns whether all is clean again."""
    for number, entry in enumerate(os.scandir()):
        if number >= MAX_REMOVED_FILES or entry.is_dir(follow_symlinks=False):
            return False
        Path(entry.name).unlink()
    return True


def serve(control: socket.socket) -> None:
    """Start a solution's process for each message that brings a channel and an output; sweep at the next message.

    Raises: wire.Closed when the examiner is gone.
    """
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 4096, 2)
        if not data:
            raise wire.Closed
        child = fork_solution(json.loads(data), *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        wire.send(control.fileno(), child)
        wire.receive(control.fileno())
        status, seconds = kill_and_reap(child)
        wire.send(control.fileno(), [status, seconds, remove_files()])
