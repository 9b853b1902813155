"""What goes into the sandbox and what comes out of it. No process is started here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["passed", "failed", "error", "timeout", "killed"]


@dataclass(frozen=True, slots=True)
class Program:
    """One solution and the tests that it must pass.

    Attributes:
        solution: Text that nobody trusts: the model's code, with whatever part of the prompt it needs.
        tests: Trusted text, run after the solution and apart from it: it sees the names that the solution defines,
            the solution never sees its expected values.
        setup: Trusted text that prepares objects for the tests, such as a tree made of the solution's own nodes. It
            runs in the solution's process, after the solution; its imports are there before the solution and in
            the tests too. Put neither expected values nor comparisons here: the solution could reach them.
    """

    solution: str
    tests: str
    setup: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one program ended.

    Attributes:
        status: ``passed`` (every test ran, at least one assertion, none failed), ``failed`` (an assertion did not
            hold), ``error`` (an exception, or an end before the tests were over), ``timeout`` (CPU or wall time),
            ``killed`` (another limit).
        detail: Which assertion, exception or limit; empty when passed.
        cpu_seconds: CPU time of the program, its tests and all their children.
        wall_seconds: From the program's start to its end.
    """

    status: Status
    detail: str
    cpu_seconds: float
    wall_seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use.

    Attributes:
        cpu_seconds: CPU time on the machine of `calibration.REFERENCE_SECONDS`; a slower machine gives more.
        wall_seconds: Backstop for a program that sleeps or waits, scaled in the same way.
        memory_mb: Address space of each process, in MiB.
        file_mb: All files that the program writes together, in MiB.
        processes: Processes and threads at a time, the program's own first one included.
        output_kb: Standard output and error together, in KiB.
    """

    cpu_seconds: float = 10.0
    wall_seconds: float = 30.0
    memory_mb: int = 1024
    file_mb: int = 16
    processes: int = 16
    output_kb: int = 1024

    def __post_init__(self) -> None:
        for name in self.__slots__:
            assert getattr(self, name) > 0, f"{name} must be positive"
