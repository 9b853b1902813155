"""The zygote: a warm interpreter that forks one process per solution and kills everything the program leaves behind.

It is a fork server (Android calls it by this name): starting Python for each program would cost some 20 ms, a fork
costs one. The examiner forks it before it reads any test, so no solution can find in its own memory what an earlier
program or its tests contained.
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

# In a process namespace of the sandbox's own, the examiner is process 1 and its first child, the zygote, process 2.
_NAMESPACE_PIDS = (1, 2)
MAX_REMOVED_FILES = 16


def in_own_namespace() -> bool:
    """Whether the sandbox has a process namespace of its own, in which ``kill(-1)`` reaches only its own processes."""
    return (os.getppid(), os.getpid()) == _NAMESPACE_PIDS


def set_limits(limits: dict[str, Any]) -> None:
    """Lower this process's limits for good; its children inherit them.

    ``processes`` is 0 where something outside, such as a container, limits their number.
    """
    values = {
        # In whole seconds. The examiner enforces the exact limit; this one holds for children that it cannot see.
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
    """Fork a process for a solution; it keeps `channel` as descriptor 3, `output` as 1 and 2, and no other."""
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

    In a process namespace of the sandbox's own, one call kills every process except this one and process 1, and no
    fork can escape it. Without one, orphans become children of this process, and are killed until none is left.
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
    """Kill the program's process group and every child of this process."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def remove_files() -> bool:
    """Remove the files that a program left in the working folder; returns whether the folder is empty again.

    A folder, or more than a few files, is left: a new sandbox is cheaper than a clean-up that a program can make long.
    """
    for number, entry in enumerate(os.scandir()):
        if number >= MAX_REMOVED_FILES or entry.is_dir(follow_symlinks=False):
            return False
        Path(entry.name).unlink()
    return True


# One program, as the examiner (E) and the zygote (Z) see it:
#     E -> Z   {"cpu_seconds": 10.0, ...}     with two descriptors attached: the solution's channel, its output
#     Z -> E   17                             pid of the solution's process, which waits for its first request
#              ... the tests run; the examiner talks to process 17 directly ...
#     E -> Z   "sweep"
#     Z -> E   [0, 0.012, true]               wait status, CPU seconds of all processes, whether the folder is empty
def serve(control: socket.socket) -> None:
    """Serve the examiner: fork a process for each solution, and clean up after it.

    Raises:
        wire.Closed: The examiner has ended.
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
