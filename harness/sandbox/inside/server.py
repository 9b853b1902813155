"""The server of a sandbox: a warm interpreter that forks two processes for each program, examiner and solution.

Starting Python for each program would cost some 20 ms, a fork costs one. The server reads no program and no verdict:
the examiner does, in its own process. So no solution, a fork of the server, can find in its memory what an earlier
program or its tests contained.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import examiner, kernel, seccomp, solution, warm_up, wire
from .clean_state import CleanState
from .isolation import MAX_DESCRIPTORS, Isolation, map_own_ids

# Most solutions import some of these. Imported before the first fork, they cost each program nothing.
WARM = "array bisect cmath collections copy datetime functools heapq itertools math operator random re string typing"
MAX_REMOVED_FILES = 16
_FAILED = 70


def enter_process_namespace() -> bool:
    """Enter a process namespace of our own where there is no sandbox; returns whether the kernel allows it.

    Otherwise one ``os.kill(-1, SIGKILL)`` in a program would end all of the user's processes.
    """

    def enter() -> None:
        uid, gid = os.geteuid(), os.getegid()
        kernel.unshare(kernel.CLONE_NEWUSER | kernel.CLONE_NEWPID)
        map_own_ids(os.open("/proc", os.O_PATH), uid, gid)

    # A process cannot leave a namespace again, so a child tries first: some systems allow one without the mapping.
    if os.waitpid(fork(enter), 0)[1]:
        return False
    enter()
    become_first_process()
    return True


def become_first_process() -> None:
    """After `unshare`, which moves only children: go on as process 1 of the new process namespace.

    This process waits for that one and passes its exit code on.
    """
    child = os.fork()
    if child:
        os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xFF)
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)


def fork(run: Callable[[], None]) -> int:
    """Fork a process that calls `run` and then ends; returns its pid."""
    pid = os.fork()
    if pid:
        return pid
    try:
        run()
        os._exit(0)
    finally:  # an exception in `run`
        os._exit(_FAILED)


def import_warm() -> None:
    """Import the modules of `WARM`.

    `random` asks for new random bits in every fork, which takes as long as a third of the fork. Here it does not, so
    that every program starts with the same random numbers; see `solution.serve` for the forks of a program.
    """
    register, os.register_at_fork = os.register_at_fork, lambda **_: None
    try:
        for name in WARM.split():
            importlib.import_module(name)
    finally:
        os.register_at_fork = register
    sys.modules["random"].seed(0)


def wait_for_end(pid: int) -> None:
    """Wait a little for a process that has closed its channel, so that it is killed only if it goes on."""
    for _ in range(20):
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            return
        time.sleep(0.005)


def remove_files() -> bool:
    """Remove the files that a program left in the working folder; returns whether the folder is empty again.

    A folder, or more than a few files, is left: a new sandbox is cheaper than a clean-up that a program can make long.
    """
    for number, entry in enumerate(os.scandir()):
        if number >= MAX_REMOVED_FILES or entry.is_dir(follow_symlinks=False):
            return False
        Path(entry.name).unlink()
    return True


class Server:
    """Serves one program after another; `host_in` and `host_out` lead to the host."""

    def __init__(self, host_in: int, host_out: int, isolation: Isolation, locks: bool) -> None:
        """Read the limits from the host. Raises: wire.Closed."""
        self.host_in, self.host_out = host_in, host_out
        self.limits: dict[str, Any] = wire.receive(host_in)
        self.filter = seccomp.program(locks)
        self.isolation = isolation
        self.clean_state = CleanState(self.limits, self.filter is not None, self.isolation)

    def serve_one(self) -> bool:
        """Serve one program, from its fresh processes to its verdict; returns whether to go on."""
        self.isolation.renew(self.limits["file_mb"])
        channel, channel_in = socket.socketpair()
        output, output_in = os.pipe()
        started, started_in = os.pipe()
        with self.isolation.process_namespace():
            waiting = self.isolation.start_waiting()
            program = fork(lambda: self._become_solution(channel_in.fileno(), output_in, started_in))
        channel_in.close()
        os.close(output_in)
        os.close(started_in)
        server, server_in = socket.socketpair()
        ends = examiner.Ends(self.host_in, self.host_out, server_in.fileno(), channel.fileno(), output, program)
        tests = fork(lambda: examiner.examine(ends, self.limits))
        server_in.close()
        channel.close()
        os.close(output)
        with server:
            os.read(started, 1)  # the end of the file: the solution's process has closed it, or has ended
            os.close(started)
            problem = self._problem(program)
            ready = {"ready": True, "alone": self.isolation.alone}
            wire.send(self.host_out, {"unclean": problem} if problem else ready)
            return not problem and self._finish(server.fileno(), tests, program, waiting)

    def _become_solution(self, channel: int, output: int, started: int) -> None:
        """Turn this process, a fork of the server, into a solution's; it answers on descriptor 3."""
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        self.isolation.enter()
        self.clean_state.set_limits()
        for source, target in ((null, 0), (output, 1), (output, 2), (channel, 3), (started, 4)):
            os.dup2(source, target)
        os.closerange(5, MAX_DESCRIPTORS)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if self.filter:
            kernel.install_filter(self.filter)
        os.close(4)
        solution.serve(3)

    def _problem(self, program: int) -> str:
        """Return why a solution's process may not start; empty if it may."""
        if os.waitid(os.P_PID, program, os.WEXITED | os.WNOWAIT | os.WNOHANG):
            return "the process for the program ended before the program started"
        return self.clean_state.problem(program)

    def _finish(self, server: int, tests: int, program: int, waiting: list[int]) -> bool:
        """Follow one examiner to its end; returns whether to go on."""
        said: list[str] = []  # "began", "end" or "lost", "sent"
        clean = self.isolation.alone
        try:
            said.append(wire.receive(server))
            said.append(wire.receive(server))
            if said[-1] == "lost":
                wait_for_end(program)
            status, seconds = self._end_program(program, waiting, tests)
            clean = clean and (self.isolation.mounts or remove_files())
            wire.send(server, [status, seconds, clean])
            said.append(wire.receive(server))
        except wire.Closed:
            clean = False
        if len(said) < 2:
            self._end_program(program, waiting, tests)
        _, exit_status = os.waitpid(tests, 0)
        if self.isolation.has_children():  # of the tests
            clean = False
        if "began" in said and "sent" not in said:
            # The tests, or values that the solution returned, have ended the examiner.
            code = os.waitstatus_to_exitcode(exit_status)
            detail = f"the process of the tests ended with {'exit code' if code >= 0 else 'signal'} {abs(code)}"
            spent = {"cpu_seconds": 0.0, "wall_seconds": 0.0}
            wire.send(self.host_out, {"status": "error", "detail": detail, **spent, "reusable": False})
        return clean

    def _end_program(self, program: int, waiting: list[int], tests: int) -> tuple[int, float]:
        """End all processes of a program; returns the first one's wait status and the CPU seconds of all."""
        if not waiting:
            return self._end_children(program, tests)
        # The kernel ends every process of the namespace with process 1, which counts the time of those that had no
        # parent left. It waits for those whose parent is outside, so it comes last here.
        os.kill(waiting[0], signal.SIGKILL)
        ended = [os.wait4(pid, 0) for pid in (program, *reversed(waiting))]
        return ended[0][1], sum(usage.ru_utime + usage.ru_stime for _, _, usage in ended)

    @staticmethod
    def _end_children(program: int, tests: int) -> tuple[int, float]:
        """The same without a process namespace: orphans have become children of this process; all are killed."""
        status, seconds = 0, 0.0
        while True:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(program, signal.SIGKILL)
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            left = [int(pid) for pid in children if int(pid) != tests]
            if not left:
                return status, seconds
            for pid in left:
                os.kill(pid, signal.SIGKILL)
                pid, wait_status, usage = os.wait4(pid, 0)
                seconds += usage.ru_utime + usage.ru_stime
                status = wait_status if pid == program else status


# The host (H, `pool.Worker`), the server (S) and an examiner (E), in frames of `wire`:
#     H -> S   {"cpu_seconds": 10.0, "memory_mb": 1024, ...}      the limits, once
#     S -> H   {"ready": true, "alone": true}             the program's process has started, and is clean; alone: in
#                                                         namespaces of its own
#              {"unclean": "niceness is 5 instead of 0"}  or it is not, and this sandbox ends
#     H -> E   {"solution": "def f(): ...", "tests": "assert ...", "setup": ""}
#     E -> S   "began"
#     E -> S   "end", or "lost"                           the tests have ended, or the solution's process has
#     S -> E   [0, 0.012, true]                           wait status, CPU seconds, whether the sandbox goes on
#     E -> H   {"status": "passed", "detail": "", "cpu_seconds": 0.004, "wall_seconds": 0.005, "reusable": true}
#     E -> S   "sent"
#              ... and so on with another E, until either end closes
def main(mounts: bool = False, locks: bool = True, site: str = "") -> None:
    """Serve programs that arrive on standard input, with verdicts on standard output.

    Args:
        mounts: Whether this is a sandbox that `start` has prepared, in which programs get folders of their own.
        locks: Whether programs may lock files.
        site: A folder of packages that programs and tests may import.
    """
    if site and Path(site).is_dir():
        sys.path.append(site)
        # Number libraries start a thread per processor otherwise, more than a program may have.
        os.environ |= dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    namespaces = mounts or enter_process_namespace()
    kernel.prctl(kernel.PR_SET_DUMPABLE, 0)  # no program can read or trace this process
    kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # process 1 of a program's namespace inherits this
    os.environ.pop("LD_BIND_NOW", None)  # of no use to programs
    import_warm()
    host_in, host_out = os.dup(0), os.dup(1)
    for descriptor in range(3):  # what tests print must not be read as a verdict
        os.dup2(os.open(os.devnull, os.O_RDWR), descriptor)
    with contextlib.suppress(wire.Closed):  # the host has ended
        server = Server(host_in, host_out, Isolation(mounts, namespaces), locks)
        # Values that a solution returns are compared in the examiner, so it has the same memory limit: the test
        # `assert f() * (1 << 30) == ...` must not use up the machine's memory.
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = server.limits["memory_mb"] << 20
        resource.setrlimit(resource.RLIMIT_AS, (min(wanted, hard) if hard > 0 else wanted, hard))
        # Moves all objects out of the garbage collector's sight: a collection in a forked process would write to them,
        # and the kernel would copy each page written to.
        warm_up.run(server.limits, server.clean_state)
        gc.collect()
        gc.freeze()
        while server.serve_one():
            pass
