"""The fork server: one warm interpreter in the sandbox, two children a program, everything killed after each.

It reads a header and leaves the rest of its input to the children, so that it never holds a text that a later solution
could find in its memory. It is not told what the tests expect and it takes no verdict from the solution's process.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import os
import resource
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import exam, solution, wire

# Imported before the first fork because most solutions want them; reading them anew would cost each some milliseconds.
WARM = (
    "array ast bisect cmath collections copy datetime functools heapq itertools math operator random re string typing"
)
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_CLONE_NEWUSER, _CLONE_NEWPID = 0x10000000, 0x20000000
MAX_CONTAINED_PID = 2  # alone in a container, or after the first process of bubblewrap
Verdict = dict[str, Any]


def harden() -> None:
    """Keep the solution from reading or tracing this process and the tests', and inherit every orphan."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_CHILD_SUBREAPER, 1)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl failed")
    sys.set_int_max_str_digits(0)


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


def fork(run: Callable[[], None]) -> int:
    """Start a child in a session of its own; returns its process id."""
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            run()
            os._exit(0)
        finally:
            os._exit(70)
    return pid


def confine_solution(limits: dict[str, Any], channel: int, output: int) -> int:
    """Let go of every descriptor but the channel and the output; returns the channel's new number."""
    null = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((null, 0), (output, 1), (output, 2), (channel, 3)):
        os.dup2(source, target)
    os.closerange(4, 1 << 20)
    set_limits(limits)
    return 3


def run_tests(limits: dict[str, Any], channel: int, theirs: int, report: int) -> None:
    """Be the tests' process. What the tests print goes nowhere: standard output belongs to the verdicts."""
    os.close(theirs)  # so that the channel ends when the solution's process does
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    set_limits(limits)
    exam.serve(channel, report)


def cpu_of(pid: int) -> float:
    """CPU seconds that a living process has used; 0 when it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)  # the kernel's clock id of another process
    except OSError:
        return 0.0


def watch(limits: dict[str, Any], children: tuple[int, int], report: int, output: int) -> Verdict | None:
    """Wait for the tests' report or the first limit; returns None when the tests' process went away."""
    poll = select.poll()
    poll.register(report, select.POLLIN)
    poll.register(output, select.POLLIN)
    deadline = time.monotonic() + limits["wall_seconds"]
    budget_bytes = limits["output_kb"] << 10
    while True:
        wall_left = deadline - time.monotonic()
        cpu_left = limits["cpu_seconds"] - sum(map(cpu_of, children))
        if cpu_left <= 0:
            return {"status": "timeout", "detail": f"CPU time: more than {limits['cpu_seconds']:.3g} s"}
        if wall_left <= 0:
            return {"status": "timeout", "detail": f"wall time: more than {limits['wall_seconds']:.3g} s"}
        ready = dict(poll.poll(1000 * min(wall_left, cpu_left) + 1))
        if report in ready:
            try:
                return wire.receive(report)  # type: ignore[no-any-return]
            except wire.Closed:
                return None
        if output in ready:
            size = len(os.read(output, 1 << 16))
            budget_bytes -= size
            if not size:
                poll.unregister(output)
            if budget_bytes < 0:
                return {"status": "killed", "detail": f"output: more than {limits['output_kb']} KiB"}


def alone() -> bool:
    """Whether this process has a process namespace of its own, so that ``kill(-1)`` reaches only what it started."""
    return os.getpid() <= MAX_CONTAINED_PID


def seclude() -> None:
    """Without an enclosure, go into a process namespace of our own if the kernel lets us.

    Otherwise one ``os.kill(-1, SIGKILL)`` in a program would end everything that the user has running.
    """
    libc = ctypes.CDLL(None)
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWPID):
        return
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def sweep(children: tuple[int, int]) -> tuple[int, float]:
    """Kill and reap all that the program left; returns the solution's wait status and the CPU seconds of all.

    In a process namespace of our own one call reaches every process but this one, and no fork can outrun it. Without
    one, orphans are inherited and killed until none is left.
    """
    status, seconds = 0, 0.0
    if alone():
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)
    while True:
        if not alone():
            kill_children(children)
        try:
            pid, ended, usage = os.wait4(-1, 0)
        except ChildProcessError:
            return status, seconds
        seconds += usage.ru_utime + usage.ru_stime
        if pid == children[0]:
            status = ended


def kill_children(groups: tuple[int, int]) -> None:
    """Kill the program's process groups and whatever has become a child of this process."""
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)
    for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split():
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(pid), signal.SIGKILL)


def ended(status: int, where: str) -> Verdict:
    """The verdict for a solution's process that ended by itself before its tests were over."""
    if os.WIFEXITED(status):
        return {
            "status": "error",
            "detail": f"the program ended itself with exit code {os.WEXITSTATUS(status)} {where}",
        }
    name = signal.Signals(os.WTERMSIG(status)).name
    if name == "SIGXCPU":
        return {"status": "timeout", "detail": "CPU time"}
    if name == "SIGKILL":
        return {"status": "killed", "detail": f"the program was killed or closed its channel {where}"}
    return {"status": "error", "detail": f"the program died of {name} {where}"}


def left_behind(scratch: Path, contained: bool) -> bool:
    """Whether something outlives the program's processes: files, or System V memory, queues and semaphores."""
    if any(scratch.iterdir()):
        return True
    tables = (Path("/proc/sysvipc") / name for name in ("shm", "msg", "sem"))
    return contained and any(table.read_bytes().count(b"\n") > 1 for table in tables)


def run_program(limits: dict[str, Any], contained: bool) -> Verdict:
    """Run one program; its verdict says in ``reusable`` whether this server may run another."""
    began = time.monotonic()
    mine, theirs = socket.socketpair()
    report_out, report_in = os.pipe()
    output_out, output_in = os.pipe()
    pids = (
        fork(lambda: solution.serve(theirs.fileno(), lambda: confine_solution(limits, theirs.fileno(), output_in))),
        fork(lambda: run_tests(limits, mine.fileno(), theirs.fileno(), report_in)),
    )
    theirs.close()
    mine.close()
    os.close(report_in)
    os.close(output_in)
    verdict = watch(limits, pids, report_out, output_out)
    status, seconds = sweep(pids)
    os.close(report_out)
    os.close(output_out)
    # Only a report proves that the whole input was read and that this server was left alone.
    reusable = bool(verdict and verdict.pop("drained", False)) and not left_behind(Path.cwd(), contained)
    if verdict is None:
        verdict = {"status": "killed", "detail": "the tests' process was killed"}
    elif verdict["status"] == "lost":
        verdict = ended(status, verdict["detail"])
    return verdict | {"cpu_seconds": seconds, "wall_seconds": time.monotonic() - began, "reusable": reusable}


def main(contained: bool) -> None:
    """Answer headers on standard input with verdicts on standard output until either ends."""
    if not contained:
        seclude()
    harden()
    for name in WARM.split():
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    wire.send(1, {"ready": True, "alone": alone()})
    while True:
        try:
            limits = wire.receive(0)
        except wire.Closed:
            return
        verdict = run_program(limits, contained)
        wire.send(1, verdict)
        if not verdict["reusable"]:
            return
