"""Run jobs through Slurm with submitit: each job asks for what its node needs. Slurm queues them and finds machines.

    harness run study.yaml --output_path runs/study --executor slurm --executor_args slurm_partition=gpu timeout_min=600

Jobs that are ready together and have equal needs become one job array. The study's folder must be on a file system that
all machines share. ``cluster=local`` runs the jobs as processes of this machine, for tests. submitit does not
resubmit a job that died; the runner does.
"""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from harness.errors import InputError, last_line, one_line
from harness.study.executors import DIED, Job, Options
from harness.study.executors.needs import NeedsSpec
from harness.study.executors.process import SECONDS_TO_END, note, run

LOCAL = "local"
DEFAULT_MINUTES = 24 * 60  # submitit's own default, 5 minutes, is too short for most stages
LONGEST_ARRAY = 1000  # jobs; Slurm's default limit is 1001
SUBMISSIONS = 3  # of a job that sbatch refuses
SECONDS_BETWEEN = 10.0  # two of them
REFUSED = 1  # the exit code of a job that sbatch does not take
NO_SUBMITIT = "--executor slurm: needs submitit, which is not installed; install stage-harness[slurm]."


@dataclass(frozen=True, kw_only=True)
class _Submitted:
    """A job and submitit's handle for it; None if sbatch refused it."""

    job: Job
    handle: Any


class SlurmExecutor:
    """Submits each job to Slurm, in arrays."""

    slots: int | None = None

    def __init__(self, options: Options) -> None:
        """Raises: InputError: submitit is not installed or refuses the arguments, or there is no Slurm here."""
        try:
            import submitit
        except ImportError:
            raise InputError(NO_SUBMITIT) from None
        arguments: dict[str, Any] = dict(options.arguments)
        self._cluster = arguments.pop("cluster", "slurm")
        self._folder = options.folder
        self._arguments = {name: _number(value) for name, value in arguments.items()}
        self._new: Any = partial(submitit.AutoExecutor, cluster=self._cluster)
        with TemporaryDirectory() as scratch:  # submitit makes its folder, also where it then refuses the arguments
            for needs in options.needs or (NeedsSpec(),):
                self._submitter("check", needs, Path(scratch))
        self._refused: tuple[type[Exception], ...] = (
            submitit.core.utils.FailedJobError, submitit.core.utils.FailedSubmissionError,
        )  # fmt: skip
        self._accepted = False  # whether sbatch has taken a job of this run
        self._cancelled_earlier = self._cluster == LOCAL

    def submit(self, jobs: Sequence[Job]) -> list[_Submitted]:
        """Submit jobs; those with equal needs become an array."""
        self._cancel_earlier()
        handles: dict[int, Any] = {}
        for needs in dict.fromkeys(job.needs for job in jobs):
            alike = [place for place, job in enumerate(jobs) if job.needs == needs]
            for first in range(0, len(alike), LONGEST_ARRAY):
                part = alike[first : first + LONGEST_ARRAY]
                handles |= zip(part, self._array([jobs[place] for place in part], needs), strict=True)
        return [_Submitted(job=job, handle=handles[place]) for place, job in enumerate(jobs)]

    def _submitter(self, name: str, needs: NeedsSpec, folder: Path) -> Any:
        """Return submitit's executor for jobs with these needs, whose files go into a folder.

        Raises:
            InputError: there is no Slurm here, or submitit refuses the arguments.
        """
        wanted = {
            "name": name, "cpus_per_task": needs.cpus or 1, "gpus_per_node": needs.gpus, "mem_gb": needs.memory_gb,
            "timeout_min": DEFAULT_MINUTES,
        }  # fmt: skip
        given = {name: value for name, value in wanted.items() if value}
        try:  # a new one each time, because submitit adds to what it was given before
            submitter = self._new(folder=folder / "%j")
        except (RuntimeError, ValueError) as error:
            raise InputError(f"--executor slurm: {error}; run it where sbatch is, or use --executor local.") from None
        try:
            submitter.update_parameters(**{**given, **self._arguments})
        # submitit raises NameError for an unknown name and AssertionError for a wrong type
        except (AssertionError, NameError, NotImplementedError, TypeError, ValueError) as error:
            reason = one_line(error, max_characters=300)
            raise InputError(
                f"--executor_args: submitit refuses them ({reason}); correct them, as in slurm_partition=gpu "
                "timeout_min=600, and write changes of the experiment before --executor_args."
            ) from None
        return submitter

    def _array(self, jobs: Sequence[Job], needs: NeedsSpec) -> list[Any]:
        """Submit jobs as an array; return submitit's handles, or None for each if sbatch goes on to refuse it.

        A busy Slurm refuses what it takes a moment later, so a refusal is an error of the user's only at the start.

        Raises:
            InputError: sbatch has not taken any job of this run.
        """
        submitter = self._submitter(jobs[0].name, needs, self._folder)
        for attempt in range(1, SUBMISSIONS + 1):
            try:
                handles = list(submitter.submit_array([partial(run, job) for job in jobs]))
                self._accepted = True
                return handles
            except self._refused as error:
                reason = last_line(error, max_characters=300)
            if attempt < SUBMISSIONS:
                time.sleep(SECONDS_BETWEEN)
        if not self._accepted:
            raise InputError(f"--executor_args: sbatch refuses the job ({reason}); correct them.")
        for job in jobs:
            note(job, f"sbatch refuses the job: {reason}")
        return [None] * len(jobs)

    def poll(self, handle: _Submitted) -> int | None:
        """Return the command's exit code; `DIED` if its machine or Slurm ended it, `REFUSED` if it was not queued."""
        submitted = handle.handle
        if submitted is None:
            return REFUSED
        if not submitted.done():
            if submitted.state != "PREEMPTED":
                return None
            submitted.cancel(check=False)  # submitit waits for Slurm to requeue it, which not every cluster does
        if self._cluster == LOCAL and not submitted.paths.result_pickle.exists():
            note(handle.job, "submitit: the job ended without a result")
            return DIED  # without waiting: no other machine can still be writing the result
        try:
            return int(submitted.result())
        except Exception as error:  # submitit raises what the job raised, or its own error for a job without a result
            note(handle.job, f"submitit: {one_line(error, max_characters=300)}")
            return DIED

    def cancel(self, handle: _Submitted) -> None:
        """Cancel the job."""
        if handle.handle is None:
            return
        handle.handle.cancel(check=False)
        deadline = time.monotonic() + SECONDS_TO_END
        while not handle.handle.done() and time.monotonic() < deadline:
            time.sleep(0.1)

    def _cancel_earlier(self) -> None:
        """Cancel the jobs that a killed run left in Slurm's queue: they would run their nodes after this run did."""
        if self._cancelled_earlier or not self._folder.is_dir():
            return
        self._cancelled_earlier = True
        # A job's folder has its number as its name, such as 812 or, in an array, 812_3.
        places = [place for place in self._folder.iterdir() if place.name.replace("_", "").isdigit()]
        numbers = [place.name for place in places if not any(place.glob("*_result.pkl"))]
        if numbers:
            with suppress(OSError):
                subprocess.run(["scancel", *numbers], check=False, capture_output=True)  # noqa: S603, S607


def _number(text: str) -> int | float | str:
    """Return the value of an argument: ``600``, ``3.5`` and ``2h`` are an int, a float and a text."""
    if text.isdecimal():
        return int(text)
    return float(text) if re.fullmatch(r"\d+\.\d+", text) else text
