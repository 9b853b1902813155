"""Every model of a leaderboard against one of them, as `compare` does it."""

from __future__ import annotations

from dataclasses import replace

from harness.records import ModelRecords
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm, Comparison
from harness.reports.analysis.leaderboard import Leaderboard


def against(board: Leaderboard, baseline: ModelRecords, *, force: bool = False) -> Comparison:
    """Compare the other models of a leaderboard with one of them, on the tasks of the leaderboard.

    The reader names the baseline, so p-values are corrected for its comparisons only, and not for every pair.

    Args:
        board: The ranks.
        baseline: One of its models.
        force: Compare runs even if their prompts differ.

    Raises:
        RecordError: Two models have no common items, or their prompts differ (unless `force`).
    """
    ranked = {task.task for task in board.tasks}
    others = [standing.model for standing in board.standings if standing.model is not baseline]
    models = [
        replace(one, tasks={name: run for name, run in one.tasks.items() if name in ranked})
        for one in (baseline, *others)
    ]
    return compare([Arm(name=one.name, models=(one,)) for one in models], force=force)
