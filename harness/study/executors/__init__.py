"""Executors: where the commands of nodes run. A new one is a class with these members and one entry-point line.

    # my_package/cloud.py
    class CloudExecutor:
        slots = None

        def __init__(self, options: Options) -> None: ...
        def submit(self, jobs: Sequence[Job]) -> list[str]: ...
        def poll(self, handle: str) -> int | None: ...
        def cancel(self, handle: str) -> None: ...

    # pyproject.toml
    [project.entry-points."harness.executors"]
    cloud = "my_package.cloud:CloudExecutor"

A job's command resumes when it is run again. `executors.process` runs it so that no node runs twice at once, and with
the variables of `Job.environment`, because another machine does not have them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from harness.errors import InputError, did_you_mean
from harness.study.executors.needs import NeedsSpec

GROUP = "harness.executors"
DIED = -1  # what `poll` returns for a job whose worker or machine is lost; a command that SIGHUP ends looks the same
# Variables that a node takes from the process that runs the study, even on a machine where they are set differently.
PASSED_ON = ("HARNESS_CACHE_DIR", "HARNESS_DATA", "HF_HOME", "OMP_NUM_THREADS", "PYTHONPATH")


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command to run.

    Attributes:
        name: The label of its node, or of the first of several.
        words: The words that follow ``harness``.
        locks: Files that are locked while it runs, one for each of its nodes.
        log: File for its output, appended to.
        cwd: Folder that relative paths in `words` start from.
        needs: What it needs from its machine.
        processes: Processes that run it together, under accelerate's launcher; 1 without one.
        environment: Values of the variables in `PASSED_ON`; the command does not get a variable that is missing here.
    """

    name: str
    words: tuple[str, ...]
    locks: tuple[Path, ...]
    log: Path
    cwd: Path
    needs: NeedsSpec
    processes: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)


def environment_of(needs: NeedsSpec, processes: int = 1) -> dict[str, str]:
    """Return the environment variables for a job; its processes divide the cores in `needs` among their threads.

    The number of threads changes how floats are rounded, so the same needs give the same result on every machine.
    """
    threads = {} if needs.cpus is None else {"OMP_NUM_THREADS": str(max(1, needs.cpus // processes))}
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | threads


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user says about the executor.

    Attributes:
        folder: The study's folder, for files of the executor.
        jobs: Commands at once.
        arguments: ``--executor_args key=value``, and ``ray_address``.
        needs: What the nodes that will run need, each once; an executor refuses here what it could never start.
    """

    folder: Path
    jobs: int = 1
    arguments: Mapping[str, Any]
    needs: tuple[NeedsSpec, ...] = ()


class Executor(Protocol):
    """Runs jobs.

    Attributes:
        slots: Jobs that may be submitted at once; None if the executor queues them itself.
    """

    slots: int | None

    def submit(self, jobs: Sequence[Job]) -> Sequence[Any]:
        """Start jobs, or queue them; return a handle for each."""

    def poll(self, handle: Any) -> int | None:
        """Return None while the job is queued or runs, then its exit code.

        Minus the number of the signal that ended it, or `DIED` if its worker or machine is lost.
        """

    def cancel(self, handle: Any) -> None:
        """End a job, and wait until it has ended."""


def open_executor(name: str, options: Options) -> Executor:
    """Return the executor of this name.

    Raises:
        InputError: there is none, a package that it needs is not installed, its cluster does not answer, or it cannot
            give what the nodes need.
    """
    known = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in known:
        raise InputError(f"--executor {name}: give one of {', '.join(sorted(known))}.{did_you_mean(name, known)}")
    executor: Executor = known[name].load()(options)
    return executor
