"""Run jobs through Slurm with submitit: each job asks for what its node needs. Slurm queues them and finds machines.

    harness run study.yaml --output_path runs/study --executor slurm --executor_args slurm_partition=gpu timeout_min=600

The study's folder must be on a file system that all machines share. ``cluster=local`` runs the jobs as processes of
this machine, for tests. submitit does not submit a job again that died; the runner does.
"""

from __future__ import annotations

from typing import Any

from harness.errors import InputError
from harness.study.executors import Job, Options
from harness.study.executors.process import run

DIED = -1


class SlurmExecutor:
    """Submits a Slurm job per job."""

    slots: int | None = None

    def __init__(self, options: Options) -> None:
        """Raises: InputError: submitit is not installed, or there is no Slurm here."""
        try:
            import submitit
        except ImportError:
            raise InputError(
                "--executor slurm: needs submitit, which is not installed; install stage-harness[slurm]."
            ) from None
        arguments: dict[str, Any] = dict(options.arguments)
        cluster = arguments.pop("cluster", "slurm")
        try:
            self._submitit = submitit.AutoExecutor(folder=options.folder / "%j", cluster=cluster)
        except (RuntimeError, ValueError) as error:
            raise InputError(f"--executor slurm: {error}; run it where sbatch is, or use --executor local.") from None
        self._arguments = {name: int(value) if value.isdigit() else value for name, value in arguments.items()}

    def submit(self, job: Job) -> Any:
        """Submit a job."""
        needs = job.needs
        asked = {
            "name": job.name, "cpus_per_task": needs.cpus or 1, "gpus_per_node": needs.gpus, "mem_gb": needs.memory_gb,
        }  # fmt: skip
        given = {name: value for name, value in asked.items() if value}
        try:
            self._submitit.update_parameters(**{**given, **self._arguments})
        except (TypeError, ValueError, NotImplementedError) as error:
            raise InputError(f"--executor_args: submitit refuses them ({error}); correct them.") from None
        return self._submitit.submit(run, job)

    def poll(self, handle: Any) -> int | None:
        """Return the command's exit code; `DIED` if its machine or Slurm ended it."""
        if not handle.done():
            return None
        try:
            return int(handle.result())
        except Exception:  # submitit raises what the job raised, or its own error for a job without a result
            return DIED

    def cancel(self, handle: Any) -> None:
        """Cancel the job."""
        handle.cancel()
