"""Which designs are too small for sharp statements: few items, few clusters, few runs."""

from __future__ import annotations

from collections.abc import Sequence

from harness.reports.analysis.differences import Arm, TaskDifference

# Where docs/statistics.md shows tests at 3.5 to 5.5%; below, they err on the safe side.
ENOUGH_ITEMS, ENOUGH_CLUSTERS, ENOUGH_RUNS = 60, 20, 3
_NAMED = 5


def small_design_notes(differences: Sequence[TaskDifference], arms: Sequence[Arm]) -> list[str]:
    """Return sentences on tasks and arms that are too small, and what would help."""
    small = dict.fromkeys(filter(None, map(_size, (one for one in differences if one.p is not None))))
    notes = []
    if small:
        listed = ", ".join(list(small)[:_NAMED]) + (f" and {len(small) - _NAMED} more" if len(small) > _NAMED else "")
        notes.append(
            f"Small tasks, where tests and intervals are conservative and only large differences show: {listed}."
        )
    runs = [len(arm.models) for arm in arms]
    if 1 < min(runs) < ENOUGH_RUNS:
        notes.append(f"With {min(runs)} runs per arm, intervals are conservative. Train {ENOUGH_RUNS} or more.")
    return notes


def _size(one: TaskDifference) -> str:
    if one.clusters is not None and one.clusters < min(ENOUGH_CLUSTERS, one.items):
        return f"{one.task} ({one.clusters} clusters)"
    return f"{one.task} ({one.items} items)" if one.items < ENOUGH_ITEMS else ""
