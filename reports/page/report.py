"""Everything that the page and the charts of one report show, each part computed once: ranks, differences, means.

`page.html` lays the parts out and `charts` draws them; neither computes a statistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from harness.errors import RecordError
from harness.records import ModelRecords
from harness.reports.analysis.all_pairs import comparison_matrix
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm, Comparison
from harness.reports.analysis.domains import BoardEstimates, board_estimates
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.leaderboard import Leaderboard, rank
from harness.reports.analysis.matrix import Matrix
from harness.reports.analysis.recipe_graph import RecipeArm
from harness.reports.documents.answers import Answer, comparison_answer, leaderboard_answer
from harness.reports.documents.comparison import comparison_document
from harness.reports.documents.leaderboard import leaderboard_document
from harness.reports.documents.tables import Document


@dataclass(frozen=True, kw_only=True, eq=False)
class Report:
    """What the page and the charts show.

    Attributes:
        title: Title of the page.
        answer: The question, and its answer for all arms and tasks.
        headlines: The result, a sentence per arm.
        command: The command line that made it.
        runs: Folders as the user typed them, for the command line under each view.
        options: Flags that `compare` and `leaderboard` share, for the same.
        compare_options: Flags of `compare` alone, for the same.
        models: All models, for values and failures.
        board: Ranks; None if the arms are recipes of several seeds or no task can be ranked.
        board_document: The ranks as a document; None without a board.
        estimates: The board's means and intervals by domain and overall; None without a board.
        comparison: Differences from the baseline.
        differences_document: The differences as a document.
        intervals: Intervals computed so far, for the table of values.
        force: Compare runs even if their prompts differ.
    """

    title: str
    answer: Answer
    headlines: tuple[str, ...]
    command: str
    runs: tuple[str, ...]
    options: tuple[str, ...]
    compare_options: tuple[str, ...]
    models: tuple[ModelRecords, ...]
    board: Leaderboard | None
    board_document: Document | None
    estimates: BoardEstimates | None
    comparison: Comparison
    differences_document: Document
    intervals: IntervalCache
    force: bool

    @cached_property
    def matrix(self) -> Matrix:
        """Every arm on every task, and every pair of arms; computed when a page needs it."""
        return comparison_matrix(self.comparison, self.estimates, self.intervals, force=self.force)

    @property
    def design(self) -> tuple[RecipeArm, ...]:
        """The arms, for the picture of what they were made from."""
        return tuple(RecipeArm(name=arm.name, models=arm.models) for arm in self.comparison.arms)


@dataclass(frozen=True, kw_only=True, eq=False)
class BoardParts:
    """What a command computed of a leaderboard.

    Attributes:
        board: The ranks.
        estimates: The means and intervals.
        document: The ranks as a document.
        intervals: Intervals computed so far.
        against: Every model against the one that the reader chose; None to compare with the leader.
    """

    board: Leaderboard
    estimates: BoardEstimates
    document: Document
    intervals: IntervalCache
    against: Comparison | None = None


def leaderboard_report(
    parts: BoardParts, *, runs: Sequence[str], force: bool = False, options: Sequence[str] = ()
) -> Report:
    """Return the report of a leaderboard, with every model compared with the chosen one, otherwise with the leader.

    Args:
        parts: What the command computed.
        runs: Folders as the user typed them.
        force: Compare runs even if their prompts differ.
        options: Flags that both commands share.
    """
    board, document = parts.board, parts.document
    comparison = parts.against or _with_the_leader(board, force=force)
    return Report(
        title=document.title,
        answer=leaderboard_answer(board, document.headlines, comparison),
        headlines=document.headlines,
        command=document.command,
        runs=tuple(runs),
        options=tuple(options),
        compare_options=("--chosen",) if parts.against is None else _same_tasks(comparison, board),
        models=board.models,
        board=board,
        board_document=document,
        estimates=parts.estimates,
        comparison=comparison,
        differences_document=comparison_document(comparison, document.command),
        intervals=parts.intervals,
        force=force,
    )


def _same_tasks(comparison: Comparison, board: Leaderboard) -> tuple[str, ...]:
    """Return the flag with which `compare` has the tasks of the comparison, if the models have others too."""
    compared = {one.task for one in comparison.differences}
    others = {task for model in board.models for task in model.tasks} - compared
    return ("--tasks", ",".join(sorted(compared))) if others else ()


def _with_the_leader(board: Leaderboard, *, force: bool) -> Comparison:
    models = [standing.model for standing in board.standings]
    try:
        return _against_the_first(models, force=force)
    except RecordError:  # a task that is not on the board has other prompts or another version in some run
        on_board = {task.task for task in board.tasks}
        models = [replace(m, tasks={name: run for name, run in m.tasks.items() if name in on_board}) for m in models]
        return _against_the_first(models, force=force)


def _against_the_first(models: Sequence[ModelRecords], *, force: bool) -> Comparison:
    return compare([Arm(name=model.name, models=(model,)) for model in models], force=force, chosen=True)


def comparison_report(
    comparison: Comparison,
    document: Document,
    *,
    force: bool = False,
    options: Sequence[str] = (),
    compare_options: Sequence[str] = (),
) -> Report:
    """Return the report of a comparison; arms of one run each are also ranked, if they share a task that can be ranked.

    Args:
        comparison: Differences from the baseline.
        document: The differences as a document.
        force: Rank runs even if their prompts differ.
        options: Flags that both commands share.
        compare_options: Flags of `compare` alone.
    """
    models = tuple(model for arm in comparison.arms for model in arm.models)
    intervals = IntervalCache()
    board = _ranked(models, force=force) if len(models) == len(comparison.arms) else None
    estimates = board_estimates(board, intervals) if board else None
    return Report(
        title=document.title,
        answer=comparison_answer(comparison),
        headlines=document.headlines,
        command=document.command,
        runs=(),
        options=tuple(options),
        compare_options=tuple(compare_options),
        models=models,
        board=board,
        board_document=leaderboard_document(board, estimates, document.command) if board and estimates else None,
        estimates=estimates,
        comparison=comparison,
        differences_document=document,
        intervals=intervals,
        force=force,
    )


def _ranked(models: Sequence[ModelRecords], *, force: bool) -> Leaderboard | None:
    """Return the ranks; None without a common task on a scale from 0 to 1, so without an overall value to rank by."""
    try:
        return rank(models, force=force)
    except RecordError:
        return None
