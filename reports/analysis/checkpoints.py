"""The mean of the last checkpoints of a training run, for `harness compare --last_checkpoints`.

    a-100  a-200  a-300  b-100  b-200  b-300      --last_checkpoints 2      mean of a-200, a-300   mean of b-200, b-300

Single checkpoints are noisy, and their mean is less so (arXiv 2508.13144). Checkpoints belong to one training run if
their lineage has the same last stage, with the same seed and parents. `study` joins the runs of a design file.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.errors import InputError, RecordError
from harness.records import ModelRecords, TaskRun
from harness.reports.analysis.counting import counted
from harness.reports.analysis.pairing import mismatches, pair
from harness.reports.analysis.stages import stages_of


def last_of(checkpoints: Sequence[ModelRecords], count: int) -> tuple[ModelRecords, ...]:
    """Return the last checkpoints of a training run.

    Args:
        checkpoints: In the order of training.
        count: How many.

    Raises:
        InputError: There are fewer.
    """
    if count > len(checkpoints):
        raise InputError(
            f"--last_checkpoints {count}: {checkpoints[-1].name} has {counted(len(checkpoints), 'checkpoint')} here; "
            "give a smaller number, or name more of its checkpoints."
        )
    return tuple(checkpoints[-count:])


def training_runs(models: Sequence[ModelRecords]) -> list[list[ModelRecords]]:
    """Return the models by training run, each with its checkpoints in the order of training.

    Raises:
        InputError: A lineage is unknown, or a checkpoint is given twice.
        RecordError: A lineage is damaged.
    """
    by_run: dict[tuple[object, ...], dict[float, ModelRecords]] = {}
    for model in models:
        stages = stages_of(model)
        if not stages:
            raise InputError(
                f"--last_checkpoints: the lineage of {model.name} is unknown, so its training run is too; evaluate "
                "checkpoints that have a stage.json, or name runs and steps in a design file."
            )
        last = stages[-1]
        step = float("inf") if last.step is None else float(last.step)
        run = by_run.setdefault((last.kind, last.name, last.seed, last.parents), {})
        if step in run:
            raise InputError(f"{run[step].name} and {model.name}: the same checkpoint of {last.name}; give it once.")
        run[step] = model
    return [[model for _, model in sorted(run.items(), key=lambda pair: pair[0])] for run in by_run.values()]


def averaged(checkpoints: Sequence[ModelRecords], *, force: bool) -> ModelRecords:
    """Return the last checkpoint with the items' mean values over all of them, on the tasks that all have.

    An item that some checkpoint did not answer has no value.

    Args:
        checkpoints: Of one training run, with their items.
        force: Average even if the prompts differ.

    Raises:
        RecordError: The prompts differ (unless `force`).
    """
    last = checkpoints[-1]
    common = [task for task in last.tasks if all(task in one.tasks for one in checkpoints)]
    tasks = {task: _averaged_task({one.name: one.tasks[task] for one in checkpoints}, force=force) for task in common}
    folders = dict.fromkeys(folder for one in reversed(checkpoints) for folder in one.folders)
    return replace(last, tasks=tasks, folders=tuple(folders))


def mean_notes(runs: Sequence[Sequence[ModelRecords]]) -> list[str]:
    """Return a note on which checkpoints of each training run `averaged` takes the mean of; none if it is one each."""
    if not runs or len(runs[0]) < 2:
        return []
    listed = [f"{checkpoints[-1].name} ({', '.join(map(_step, checkpoints))})" for checkpoints in runs]
    return [f"Each run is the mean of its last {len(runs[0])} checkpoints, at steps: {', '.join(listed)}."]


def _step(checkpoint: ModelRecords) -> str:
    step = stages_of(checkpoint)[-1].step
    return "the end" if step is None else f"{step:,}"


def _averaged_task(runs: dict[str, TaskRun], *, force: bool) -> TaskRun:
    listed = list(runs.values())[::-1]  # the last checkpoint first: its rows stay
    if not all(run.is_mean for run in listed):
        known = [run.value for run in listed if run.value is not None]
        return replace(listed[0], value=float(np.mean(known)) if known else None)
    paired = pair(listed)
    reasons = mismatches(runs, paired)
    if reasons and not force:
        raise RecordError(
            f"{listed[0].task}: the checkpoints cannot be averaged: {'; '.join(reasons)}. Evaluate all with the same "
            "settings, or give --force to average them anyway."
        )
    run = listed[0]
    metric, _, filter_name = run.metric.partition(",")
    column = np.full(len(run.items), np.nan)
    means = paired.values.mean(axis=0)
    column[run.items.rows(filter_name)[paired.positions]] = means
    items = replace(run.items, values={**run.items.values, metric: column})
    value = float(means.mean()) if means.size else None
    failed = max(one.failed for one in listed)
    return replace(run, items=items, value=value, failed=failed)
