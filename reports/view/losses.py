"""What failed or was left out, for the first page."""

from __future__ import annotations

from collections.abc import Mapping

from harness.records import ModelRecords
from harness.reports.view.filters import Filter
from harness.reports.view.index import Index


def failures(index: Index, models: Mapping[str, ModelRecords]) -> list[dict[str, str]]:
    """Return a row per model and task with failed requests, with the address of the failed items.

    Args:
        index: The index.
        models: The records that it was built from, by name.
    """
    shown = [models[name] for name in models if name in index.models]
    counts = [
        (model.name, run.task, run.failed, ", ".join(f"{count:,} {why}" for why, count in sorted(run.failures.items())))
        for model in shown
        for run in model.tasks.values()
    ]
    counts += [
        (model.name, task, failed, "no item could be scored")
        for model in shown
        for task, failed in model.unscored.items()
    ]
    known = {task.task for task in index.tasks}  # without tasks whose files are all broken
    return [
        {
            "model": name,
            "task": task,
            "failed": f"{failed:,}",
            "reasons": reasons,
            "href": f"/items?{Filter(models=(name,), task=task, outcome='failed').query()}" if task in known else "",
        }
        for name, task, failed, reasons in counts
        if failed
    ]


def damaged_lines(index: Index) -> list[str]:
    """Return a sentence per samples file with damaged lines, which --skip_broken skipped."""
    return [
        f"Damaged in the samples of {model} on {task}: {count:,} {'line' if count == 1 else 'lines'}, first line "
        f"{line:,}. The values of these items count; their texts are left out."
        for model, task, count, line in index.fact("damaged")
    ]
