"""What goes into one report: ranks, differences from a baseline, and the items that flipped. `html` lays it out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from harness.errors import RecordError
from harness.records import ModelRecords
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm, Comparison
from harness.reports.analysis.flips import Flips, flips
from harness.reports.analysis.leaderboard import Leaderboard, rank
from harness.reports.documents.comparison import comparison_document
from harness.reports.documents.leaderboard import leaderboard_document


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """What goes into the file.

    Attributes:
        title: Of the page.
        lead: The answer in a sentence.
        command: What made it.
        runs: The folders as the user typed them, for the commands of single views.
        options: Flags that both commands share, for the same.
        compare_options: Flags of `compare` alone.
        models: All models, for values and failures.
        board: Ranks; None where arms are recipes of several seeds.
        comparison: Differences from the baseline.
        flips: Items to look at.
    """

    title: str
    lead: str
    command: str
    runs: tuple[str, ...]
    options: tuple[str, ...]
    compare_options: tuple[str, ...]
    models: tuple[ModelRecords, ...]
    board: Leaderboard | None
    comparison: Comparison
    flips: Flips


def of_leaderboard(
    board: Leaderboard, command: str, runs: Sequence[str], *, force: bool = False, options: Sequence[str] = ()
) -> Report:
    """Make the report of a leaderboard: every model is compared with the leader."""
    models = [standing.model for standing in board.standings]
    try:
        comparison = _against_the_leader(models, force=force)
    except RecordError:  # a task outside the board was not asked alike
        kept = {task.task for task in board.tasks}
        models = [replace(m, tasks={name: run for name, run in m.tasks.items() if name in kept}) for m in models]
        comparison = _against_the_leader(models, force=force)
    return Report(
        title=f"Leaderboard of {len(models)} models",
        lead=leaderboard_document(board, command, details=False).notes[0],
        command=command,
        runs=tuple(runs),
        options=tuple(options),
        compare_options=("--chosen",),
        models=board.models,
        board=board,
        comparison=comparison,
        flips=flips(comparison),
    )


def _against_the_leader(models: Sequence[ModelRecords], *, force: bool) -> Comparison:
    return compare([Arm(name=model.name, models=(model,)) for model in models], force=force, chosen=True)


def of_comparison(
    comparison: Comparison,
    command: str,
    *,
    force: bool = False,
    options: Sequence[str] = (),
    compare_options: Sequence[str] = (),
) -> Report:
    """Make the report of a comparison; arms of one run each are ranked as well, where they share a task that can be."""
    models = tuple(model for arm in comparison.arms for model in arm.models)
    board = None
    if len(models) == len(comparison.arms):
        try:
            board = rank(models, force=force)
        except RecordError:
            board = None  # nothing on a scale from 0 to 1 that all of them answered: there is no overall number
    document = comparison_document(comparison, command)
    return Report(
        title=document.title,
        lead=document.notes[0],
        command=command,
        runs=(),
        options=tuple(options),
        compare_options=tuple(compare_options),
        models=models,
        board=board,
        comparison=comparison,
        flips=flips(comparison),
    )
