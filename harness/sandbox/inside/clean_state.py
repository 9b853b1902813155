"""The state in which every program starts: set here, and looked at again just before the program runs.

A program that could change what a later one starts with would decide that one's verdict. Nothing that a program can
reach outlives it, and this check finds out if that is ever wrong.
"""

from __future__ import annotations

import os
import resource
import signal
from typing import Any

from . import isolation, kernel

UMASK = 0o022
State = dict[str, Any]
_HEXADECIMAL, _OCTAL = 16, 8


def limits_of(limits: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return the resource limits, soft and hard, of a solution's process."""
    values = {
        # In whole seconds. The examiner enforces the exact limit; this one holds for children that it cannot see.
        "RLIMIT_CPU": int(limits["cpu_seconds"]) + 1,
        "RLIMIT_AS": limits["memory_mb"] << 20,
        "RLIMIT_FSIZE": limits["file_mb"] << 20,
        "RLIMIT_NOFILE": 64,
        "RLIMIT_CORE": 0,
    }
    if limits["processes"]:  # 0 where something outside, such as a container, limits their number
        values["RLIMIT_NPROC"] = limits["processes"]
    return {name: (value, value) for name, value in values.items()}


def reset_signals() -> None:
    """Undo what the process that started the harness has blocked or ignored, such as ``nohup``'s SIGHUP."""
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:  # Python ignores these two
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    for reserved in set(range(1, signal.NSIG)) - set(map(int, signal.valid_signals())):
        kernel.default_signal(reserved)  # some library in the process that started us may have ignored it


def _signal_mask(*numbers: signal.Signals) -> int:
    return sum(1 << (number - 1) for number in numbers)


class CleanState:
    """What a program must start with: noted when the server starts, compared with every solution's process."""

    def __init__(self, limits: dict[str, Any], filtered: bool, isolated: isolation.Isolation) -> None:
        """Note the state of this process, the server, which every program inherits.

        Args:
            limits: The limits of each program.
            filtered: Whether system calls are filtered.
            isolated: What separates programs from this process.
        """
        self.limits = _no_higher_than_now(limits_of(limits))
        self.isolated = isolated
        os.umask(UMASK)
        reset_signals()
        # Of /proc/PID/status, for example "SigIgn:\t0000000001001000", and the base of the number there.
        self.status = {
            ("Umask", _OCTAL): UMASK,
            ("SigBlk", _HEXADECIMAL): 0,
            ("SigIgn", _HEXADECIMAL): _signal_mask(signal.SIGPIPE, signal.SIGXFSZ),
            ("SigCgt", _HEXADECIMAL): _signal_mask(signal.SIGINT),  # for KeyboardInterrupt
            **{(f"Cap{kind}", _HEXADECIMAL): 0 for kind in ("Inh", "Prm", "Eff", "Amb")},
            ("NoNewPrivs", 10): 1,
            ("Threads", 10): 1,
            **({("Seccomp", 10): 2} if filtered else {}),
        }
        kinds = {name: kind for name, kind in vars(resource).items() if name.startswith("RLIMIT_")}
        own = {getattr(resource, name) for name in self.limits}
        self.limit_kinds = {name: kind for name, kind in kinds.items() if name in self.limits or kind not in own}
        self.expected = self._observe_inherited(0) | self.limits
        self.expected |= {name: number for (name, _), number in self.status.items()}
        self.expected |= {"descriptors": {"0", "1", "2", "3"}, "files": [], "sockets": ""}
        here = os.stat(".").st_mode & 0o7777  # noqa: PTH116
        self.expected["modes"] = [0o1777, 0o1777] if isolated.mounts else [here]

    def set_limits(self) -> None:
        """Lower this process's limits for good; its children inherit them."""
        for name, value in self.limits.items():
            resource.setrlimit(self.limit_kinds[name], value)

    def problem(self, pid: int) -> str:
        """Return how a solution's process differs from what it must be; empty if it does not.

        ``niceness is 5 instead of 0; files is ['left'] instead of []``
        """
        observed = self._observe_inherited(pid) | self._observe_own(pid)
        if observed == self.expected:
            return ""
        return "; ".join(
            f"{name} is {observed.get(name)} instead of {value}"
            for name, value in self.expected.items()
            if observed.get(name) != value
        )

    def _observe_inherited(self, pid: int) -> State:
        """Return what the process `pid` (0 is this one) has from the server, and its limits."""
        return {
            "niceness": os.getpriority(os.PRIO_PROCESS, pid),
            "scheduling class": os.sched_getscheduler(pid),
            "processors": os.sched_getaffinity(pid),
            "input and output priority": kernel.io_priority(pid),
            **{name: resource.prlimit(pid, kind) for name, kind in self.limit_kinds.items()},
        }

    def _observe_own(self, pid: int) -> State:
        """Return the state of a solution's process, and of the folders and the network that it shares with this one."""
        pid = self.isolated.pid_in_proc(pid)
        text = isolation.read_file(self.isolated.proc, f"{pid}/status")
        own: State = {}
        for name, base in self.status:
            _, found, value = text.partition(f"\n{name}:\t")
            if found:
                own[name] = int(value.partition("\n")[0], base)
        descriptors = os.open(f"{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self.isolated.proc)
        own["descriptors"] = set(os.listdir(descriptors))  # noqa: PTH208 - every program waits for this
        os.close(descriptors)
        folders = (isolation.SCRATCH, isolation.SHARED_MEMORY) if self.isolated.mounts else (".",)
        own["files"] = [name for folder in folders for name in os.listdir(folder)]  # noqa: PTH208
        own["modes"] = [os.stat(folder).st_mode & 0o7777 for folder in folders]  # noqa: PTH116
        own["sockets"] = isolation.sockets_left(self.isolated.proc) if self.isolated.mounts else ""
        return own


def _no_higher_than_now(limits: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Return `limits`, lowered to the hard limits of this process: nobody but root can raise those."""
    lowered = {}
    for name, (value, _) in limits.items():
        hard = resource.getrlimit(getattr(resource, name))[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        lowered[name] = (lowest, lowest)
    return lowered
