"""The state in which every program starts: set here, and looked at again just before the program runs.

A program that could change what a later one starts with would decide that one's verdict. Nothing that a program can
reach outlives it, and this check finds out if that is ever wrong.
"""

from __future__ import annotations

import os
import resource
import signal
import stat
from pathlib import Path
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


def _signal_mask(*numbers: signal.Signals) -> int:
    return sum(1 << (number - 1) for number in numbers)


class CleanState:
    """What a program must start with: made by the server when it starts, compared in every solution's process."""

    def __init__(self, limits: dict[str, Any], filtered: bool, mounts: bool) -> None:
        """Note the state of this process, the server, which every program inherits.

        Args:
            limits: The limits of each program.
            filtered: Whether system calls are filtered.
            mounts: Whether programs get folders and a network of their own.
        """
        self.limits = _no_higher_than_now(limits_of(limits))
        self.mounts = mounts
        os.umask(UMASK)
        # /proc/self/status, for example "SigIgn:\t0000000001001000", and the base of the number there.
        self.status = {
            ("Umask", _OCTAL): UMASK,
            ("SigBlk", _HEXADECIMAL): 0,
            ("SigIgn", _HEXADECIMAL): _signal_mask(signal.SIGPIPE, signal.SIGXFSZ),  # Python ignores these two
            ("SigCgt", _HEXADECIMAL): _signal_mask(signal.SIGINT),  # for KeyboardInterrupt
            **{(f"Cap{kind}", _HEXADECIMAL): 0 for kind in ("Inh", "Prm", "Eff", "Amb")},
            ("NoNewPrivs", 10): 1,
            ("Threads", 10): 1,
            **({("Seccomp", 10): 2} if filtered else {}),
        }
        self.expected = self._observe_inherited() | self._own()

    def set_limits(self) -> None:
        """Lower this process's limits for good; its children inherit them."""
        for name, value in self.limits.items():
            resource.setrlimit(getattr(resource, name), value)

    def problem(self) -> str:
        """Return how this process, a solution's, differs from what it must be; empty if it does not.

        ``niceness is 5 instead of 0; working folder is ['left'] instead of []``
        """
        observed = self._observe_inherited() | self._observe_own()
        return "; ".join(
            f"{name} is {observed.get(name)} instead of {value}"
            for name, value in self.expected.items()
            if observed.get(name) != value
        )

    def _observe_inherited(self) -> State:
        """Return what every process here has in common."""
        chosen = {getattr(resource, name) for name in self.limits}
        kinds = {name: kind for name, kind in vars(resource).items() if name.startswith("RLIMIT_")}
        return {
            "niceness": os.getpriority(os.PRIO_PROCESS, 0),
            "scheduling class": os.sched_getscheduler(0),
            "processors": sorted(os.sched_getaffinity(0)),
            "input and output priority": kernel.io_priority(),
            **{name: resource.getrlimit(kind) for name, kind in kinds.items() if kind not in chosen},
        }

    def _own(self) -> State:
        """Return what a solution's process has of its own."""
        own: State = {name: number for (name, _), number in self.status.items()}
        own |= self.limits | {"descriptors": ["0", "1", "2", "3"], "working folder": []}
        if self.mounts:
            folders = dict.fromkeys((isolation.SCRATCH, isolation.SHARED_MEMORY), (0o1777, []))
            own |= {"process": isolation.FIRST_PID, "folders": folders, "sockets": ""}
        return own

    def _observe_own(self) -> State:
        lines = Path("/proc/self/status").read_text().splitlines()
        status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
        *descriptors, _ = sorted(os.listdir("/proc/self/fd"), key=int)  # the last one is the listing's own
        own: State = {name: int(status[name], base) for name, base in self.status if name in status}
        own |= {name: resource.getrlimit(getattr(resource, name)) for name in self.limits}
        own |= {"descriptors": descriptors, "working folder": os.listdir()}
        if self.mounts:
            folders = (isolation.SCRATCH, isolation.SHARED_MEMORY)
            own["folders"] = {name: (stat.S_IMODE(os.stat(name).st_mode), os.listdir(name)) for name in folders}
            own |= {"process": os.getpid(), "sockets": isolation.sockets_left()}
        return own


def _no_higher_than_now(limits: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Return `limits`, lowered to the hard limits of this process: nobody but root can raise those."""
    lowered = {}
    for name, (value, _) in limits.items():
        hard = resource.getrlimit(getattr(resource, name))[1]
        lowest = value if hard == resource.RLIM_INFINITY else min(value, hard)
        lowered[name] = (lowest, lowest)
    return lowered
