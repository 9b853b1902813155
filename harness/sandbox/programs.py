"""What goes into the sandbox and what comes out: programs, limits, verdicts. No process is started here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["passed", "failed", "error", "timeout", "killed", "unsupported"]


@dataclass(frozen=True, slots=True)
class Program:
    """One solution and the tests that it must pass.

    Attributes:
        solution: Untrusted text: the model's code, with the part of the prompt that it continues.
        tests: Trusted text that runs after the solution, in another process. It sees the names that the solution
            defines; the solution never sees its expected values.
        setup: Trusted text that prepares objects for the tests, such as a tree of the solution's own nodes. It runs in
            the solution's process, after the solution; its imports are also run before the solution, and in the
            tests. Put no expected values or comparisons here: the solution could reach them.
    """

    solution: str
    tests: str
    setup: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one program ended.

    Attributes:
        status: ``passed`` (the tests ran to their end, with at least one assertion and no failure), ``failed`` (an
            assertion did not hold), ``error`` (an exception, or the program ended before its tests), ``timeout`` (CPU
            or wall time), ``killed`` (another limit), ``unsupported`` (the tests do something that the sandbox cannot
            do: neither a success nor a failure of the solution).
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
        cpu_seconds: CPU time on the reference machine of `calibration`; on a slower machine the limit is higher.
        wall_seconds: Wall time, for programs that sleep or wait; scaled in the same way.
        memory_mb: Address space of each process, in MiB.
        file_mb: Total size of the files that the program writes, in MiB.
        processes: Processes and threads at a time, including the program's first one.
        output_kb: Standard output and error together, in KiB.
    """

    cpu_seconds: float = 10.0
    wall_seconds: float = 30.0
    memory_mb: int = 1024
    file_mb: int = 16
    processes: int = 32
    output_kb: int = 1024

    def __post_init__(self) -> None:
        for name in self.__slots__:
            assert getattr(self, name) > 0, f"{name} must be positive"
