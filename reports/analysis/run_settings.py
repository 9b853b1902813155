"""How each model was evaluated: engine, precision, few-shot examples, template, versions and the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.errors import RecordError
from harness.records import ModelRecords, TaskRun
from harness.records.run_folder import read_record, readable_time


@dataclass(frozen=True, kw_only=True)
class RunSettings:
    """One run of one model.

    Attributes:
        model: Name of the model.
        time: Start of the run, such as ``2025-01-31 09:30:00``.
        tasks: Tasks that are taken from it.
        engine: The engine that answered.
        dtype: The dtype of the computation; empty if not recorded.
        num_fewshot: Examples in the prompts, such as ``0`` or ``0, 5`` if the tasks differ.
        prompting: Chat template and system instruction; ``plain`` without them.
        max_length: Longest input in tokens; empty if not recorded.
        task_versions: Versions of the tasks, such as ``1``.
        failed: Requests without an answer.
        cut: Requests whose input was truncated.
        command: The command line; empty if not recorded, as by plain lm-eval.
        versions: Python and packages, such as ``python 3.11.7``; empty if not recorded.
    """

    model: str
    time: str
    tasks: tuple[str, ...]
    engine: str
    dtype: str
    num_fewshot: str
    prompting: str
    max_length: str
    task_versions: str
    failed: int
    cut: int
    command: str
    versions: tuple[str, ...]


def run_settings(models: Sequence[ModelRecords]) -> tuple[RunSettings, ...]:
    """Return the settings of every run that a task is taken from, by model and time."""
    settings = []
    for model in models:
        by_file: dict[str, list[TaskRun]] = {}
        for run in model.tasks.values():
            by_file.setdefault(str(run.results), []).append(run)
        settings += [_settings(model.name, runs) for _, runs in sorted(by_file.items())]
    return tuple(settings)


def _settings(model: str, runs: Sequence[TaskRun]) -> RunSettings:
    first = runs[0]
    command, versions = _recorded(first)
    return RunSettings(
        model=model,
        time=readable_time(first.time),
        tasks=tuple(run.task for run in runs),
        engine=_values([run.engine for run in runs]),
        dtype=_values([run.dtype for run in runs]),
        num_fewshot=_values([str(run.num_fewshot) for run in runs]),
        prompting=_values([run.prompting for run in runs]),
        max_length=_values([run.max_length for run in runs]),
        task_versions=_values([run.version for run in runs]),
        failed=sum(run.failed for run in runs),
        cut=sum(run.truncated for run in runs),
        command=command,
        versions=versions,
    )


def _values(values: Sequence[str]) -> str:
    return ", ".join(sorted({value for value in values if value}))


def _recorded(run: TaskRun) -> tuple[str, tuple[str, ...]]:
    """Return the command line and the versions in the record of a run; empty without one."""
    file = run.results.with_name(f"run_{run.time}.json")
    try:
        record = read_record(file)
    except RecordError:
        return "", ()
    return record.command, tuple(f"{name} {version}" for name, version in record.versions.items())
