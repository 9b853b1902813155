"""The examiner: first process of the sandbox; reads programs, runs their tests, writes verdicts.

Being first, it cannot be killed or stopped from inside. It runs no solution: that is done by a child of its child, the
zygote, which it asks for a fresh process a program and for an empty house after each. The tests are trusted and share
this process; each program's have a name space of their own.
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

# Imported before the first fork because most solutions want them; reading them anew would cost each some milliseconds.
WARM = "array bisect cmath collections copy datetime functools heapq itertools math operator random re string typing"
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER = 1, 4, 36
_CLONE_NEWUSER, _CLONE_NEWPID = 0x10000000, 0x20000000
ZYGOTE_ENDED = "the program brought its sandbox down"
Verdict = dict[str, Any]


def enter_process_namespace() -> None:
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


def harden() -> None:
    """Keep solutions from reading or tracing this process and the zygote."""
    libc = ctypes.CDLL(None, use_errno=True)
    for option, value in ((_PR_SET_DUMPABLE, 0), (_PR_SET_CHILD_SUBREAPER, 1)):
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl failed")


def start_zygote() -> socket.socket:
    """Fork the zygote; returns the way to speak with it."""
    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        try:
            harden()  # orphans come to the zygote, not to us
            ours.close()
            for descriptor in range(3):
                os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
            zygote.serve(theirs)
        finally:
            os._exit(70)
    theirs.close()
    return ours


def explain_end(status: int, where: str) -> tuple[str, str]:
    """Status and detail for a solution's process that ended by itself before its tests were over."""
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
    """Asks the zygote for a process a program, one ahead, and judges the programs that are given to them."""

    def __init__(self, control: socket.socket, limits: dict[str, Any]) -> None:
        self.control, self.limits = control, limits
        self.request_process()

    def request_process(self) -> None:
        """Ask for a fresh process; it is forked while the host is busy with the last verdict."""
        self.channel, theirs = socket.socketpair()
        self.output, output_in = os.pipe()
        socket.send_fds(self.control, [json.dumps(self.limits).encode()], [theirs.fileno(), output_in])
        theirs.close()
        os.close(output_in)

    def examine(self, program: dict[str, str]) -> Verdict:
        """Run one program; its verdict says in ``reusable`` whether this sandbox may run another.

        Raises:
            wire.Closed: The zygote is gone.
        """
        began, cpu_began = time.monotonic(), time.process_time()
        pid = wire.receive(self.control.fileno())
        random.seed(0)
        with Channel(self.channel.fileno(), self.output, pid, self.limits) as channel:
            status, detail = test_runner.run_tests(channel, **program)
        self.channel.close()
        os.close(self.output)
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


def main(contained: bool) -> None:
    """Read the limits, then answer programs on standard input with verdicts on standard output until either ends."""
    if not contained:
        enter_process_namespace()
    harden()
    for name in WARM.split():
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    source, sink = os.dup(0), os.dup(1)
    control = start_zygote()
    for descriptor in range(3):  # what tests print must not be taken for a verdict
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    try:
        limits = wire.receive(source)
        # What a solution returns comes here as a value to be compared: it must not take more than its maker may.
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = limits["memory_mb"] << 20
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(hard, wanted), hard))
        examiner = Examiner(control, limits)
        wire.send(sink, {"ready": True, "alone": os.getpid() == 1})
        while True:
            program, began = wire.receive(source), time.monotonic()
            try:
                verdict = examiner.examine(program)
            except wire.Closed:  # the zygote is gone, which only the program can have wanted
                spent = {"cpu_seconds": 0.0, "wall_seconds": time.monotonic() - began}
                verdict = {"status": "killed", "detail": ZYGOTE_ENDED, **spent, "reusable": False}
            if verdict["reusable"]:
                examiner.request_process()
            wire.send(sink, verdict)
            if not verdict["reusable"]:
                return
    except wire.Closed:  # the host has gone
        return
