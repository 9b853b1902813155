"""The examiner of one program: a process that holds the tests, talks to the solution's process and gives the verdict.

The server forks it for each program, so nothing that tests do, such as setting ``decimal.getcontext().prec``, changes
the next program's verdict.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any, NamedTuple

from . import test_runner, wire
from .channel import Channel


class Ends(NamedTuple):
    """The descriptors of the examiner's process, and the process under test.

    Attributes:
        source: Programs arrive here from the host.
        sink: Verdicts go to the host.
        server: The server: asked to end the solution, it answers with how that ended.
        solution: The solution's process answers requests here.
        output: What the solution prints.
        pid: The solution's process.
    """

    source: int
    sink: int
    server: int
    solution: int
    output: int
    pid: int


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


def examine(ends: Ends, limits: dict[str, Any]) -> None:
    """Wait for a program, run it, send its verdict. Raises: wire.Closed when the host or the server has ended."""
    program = wire.receive(ends.source)
    wire.send(ends.server, "began")
    began = time.monotonic()
    with Channel(ends.solution, ends.output, ends.pid, limits) as channel:
        recursion_limit = sys.getrecursionlimit()
        status, detail = test_runner.run_tests(channel, **program)
        sys.setrecursionlimit(recursion_limit)
    # Only now: the CPU time of the program's children is known once they have ended.
    os.close(ends.solution)
    os.close(ends.output)
    wire.send(ends.server, "lost" if status == "lost" else "end")
    wait_status, seconds, reusable = wire.receive(ends.server)
    if status == "lost":
        status, detail = explain_end(wait_status, detail)
    elif status == "passed" and seconds > limits["cpu_seconds"]:
        status, detail = "timeout", f"CPU time: {seconds:.3g} s with all its processes"
    verdict = {
        "status": status,
        "detail": detail,
        "cpu_seconds": seconds + time.process_time(),
        "wall_seconds": time.monotonic() - began,
        "reusable": reusable,
    }
    wire.send(ends.sink, verdict)
    wire.send(ends.server, "sent")
