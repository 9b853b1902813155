"""The examiner: the sandbox's first process. It reads programs, runs their tests and writes verdicts.

As process 1 of its namespace, no process inside can kill or stop it. It never runs a solution: the zygote forks a
process for that, and cleans up after it. The tests are trusted and share this process; each program's tests have a
namespace of their own.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import random
import resource
import signal
import socket
import time
from typing import Any

from . import test_runner, wire, zygote
from .remote import Channel

# Most solutions import some of these. Imported before the first fork, they cost each program nothing.
WARM = "array bisect cmath collections copy datetime functools heapq itertools math operator random re string typing"
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_CLONE_NEWUSER, _CLONE_NEWPID = 0x10000000, 0x20000000
ZYGOTE_ENDED = "the program brought its sandbox down"
Verdict = dict[str, Any]


def enter_process_namespace() -> None:
    """Enter a process namespace of our own where there is no sandbox, if the kernel allows it.

    Otherwise one ``os.kill(-1, SIGKILL)`` in a program would end all of the user's processes.
    """
    libc = ctypes.CDLL(None)
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWPID):
        return
    # `unshare` moves only children into the new namespace: the first child is its process 1 and goes on as examiner,
    # while this process waits and passes its exit code on.
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def harden() -> None:
    """Keep solutions from reading or tracing this process, and make orphans its children."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_CHILD_SUBREAPER, 1)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl failed")


def start_zygote() -> socket.socket:
    """Fork the zygote; returns the socket to it."""
    # A Unix socket and not a pipe: descriptors can be sent over it.
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        try:
            harden()  # orphans become the zygote's children, not the examiner's
            ours.close()
            for descriptor in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            zygote.serve(theirs)
        finally:
            os._exit(70)
    theirs.close()
    return ours


def explain_end(status: int, where: str) -> tuple[str, str]:
    """Return status and detail for a solution's process that ended by itself before its tests were over."""
    if os.WIFEXITED(status):
        return "error", f"the program ended itself with exit code {os.WEXITSTATUS(status)} {where}"
    number = os.WTERMSIG(status)
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    if name == "SIGXCPU":
        return "timeout", "CPU time"
    if name == "SIGKILL":
        return "killed", f"the program was killed or closed its channel {where}"
    return "error", f"the program died of {name} {where}"


class Examiner:
    """Runs programs one at a time; the zygote has the process for the next program ready."""

    def __init__(self, control: socket.socket, limits: dict[str, Any]) -> None:
        self.control, self.limits = control, limits
        self.request_process()

    def request_process(self) -> None:
        """Ask the zygote for a new process. The fork takes place while the host handles the last verdict."""
        # The solution's process is to hold one end of a socket pair and of a pipe. The zygote gets these ends attached
        # to the message (SCM_RIGHTS) and hands them on in the fork; the examiner then talks to that process directly.
        self.channel, theirs = socket.socketpair()
        self.output, output_in = os.pipe()
        socket.send_fds(self.control, [json.dumps(self.limits).encode()], [theirs.fileno(), output_in])
        theirs.close()
        os.close(output_in)

    def examine(self, program: dict[str, str]) -> Verdict:
        """Run one program; its verdict says in ``reusable`` whether this sandbox may run another.

        Raises:
            wire.Closed: The zygote has ended.
        """
        began, cpu_began = time.monotonic(), time.process_time()
        pid = wire.receive(self.control.fileno())  # the zygote's reply to request_process
        random.seed(0)
        with Channel(self.channel.fileno(), self.output, pid, self.limits) as channel:
            status, detail = test_runner.run_tests(channel, **program)
        self.channel.close()
        os.close(self.output)
        # Only after the tests: the CPU time of the program's children is known once they are reaped.
        wire.send(self.control.fileno(), "sweep")
        wait_status, seconds, clean = wire.receive(self.control.fileno())
        if status == "lost":
            status, detail = explain_end(wait_status, detail)
        elif status == "passed" and seconds > self.limits["cpu_seconds"]:
            status, detail = "timeout", f"CPU time: {seconds:.3g} s with all its processes"
        return {
            "status": status,
            "detail": detail,
            "cpu_seconds": seconds + time.process_time() - cpu_began,
            "wall_seconds": time.monotonic() - began,
            "reusable": clean,
        }


# The host (H, `pool.Worker`) and the examiner (E), in frames of `wire`:
#     H -> E   {"cpu_seconds": 10.0, "memory_mb": 1024, ...}                 the limits, once
#     E -> H   {"ready": true, "alone": true}                                alone: it has a process namespace
#     H -> E   {"solution": "def f(): ...", "tests": "assert ...", "setup": ""}
#     E -> H   {"status": "passed", "detail": "", "cpu_seconds": 0.004, "wall_seconds": 0.005, "reusable": true}
#              ... and so on, one program at a time, until either end closes
def main(contained: bool) -> None:
    """Read the limits, then answer programs on standard input with verdicts on standard output."""
    if not contained:
        enter_process_namespace()
    harden()
    for name in WARM.split():
        importlib.import_module(name)
    # Moves all objects out of the garbage collector's sight: a collection in a forked process would write to them, and
    # the kernel would copy each page written to.
    gc.collect()
    gc.freeze()
    source, sink = os.dup(0), os.dup(1)
    control = start_zygote()
    for descriptor in range(3):  # what tests print must not be read as a verdict
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    try:
        limits = wire.receive(source)
        # Values that a solution returns are compared in this process, so it has the same memory limit: the test
        # `assert f() * (1 << 30) == ...` must not use up the machine's memory.
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = limits["memory_mb"] << 20
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(hard, wanted), hard))
        examiner = Examiner(control, limits)
        wire.send(sink, {"ready": True, "alone": os.getpid() == 1})
        while True:
            program, began = wire.receive(source), time.monotonic()
            try:
                verdict = examiner.examine(program)
            except wire.Closed:  # the zygote has ended, and nothing but the program can have ended it
                spent = {"cpu_seconds": 0.0, "wall_seconds": time.monotonic() - began}
                verdict = {"status": "killed", "detail": ZYGOTE_ENDED, **spent, "reusable": False}
            if verdict["reusable"]:
                examiner.request_process()
            wire.send(sink, verdict)
            if not verdict["reusable"]:
                return
    except wire.Closed:  # the host has ended
        return
