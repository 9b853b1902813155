"""The tables of the report that the viewer shows: ranks, values by task, and differences.

Nothing is computed here: `rank`, `compare` and the documents are those of `harness leaderboard` and `harness compare`.
The overview takes long for many models, so it is made once and kept in the index, as JSON.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import HarnessError, RecordError
from harness.records import ModelRecords, Records, read
from harness.reports.analysis.all_pairs import differences_matrix, reference_matrix, values_matrix, with_values
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm
from harness.reports.analysis.domains import board_estimates
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.leaderboard import rank
from harness.reports.analysis.matrix import Matrix
from harness.reports.documents.comparison import comparison_document
from harness.reports.documents.leaderboard import leaderboard_document, task_values
from harness.reports.documents.tables import Document, Table
from harness.reports.page.differences_view import document_with_failed_and_cut
from harness.reports.page.report import BoardParts, Report, leaderboard_report
from harness.reports.view.means import Means, means
from harness.reports.view.options import Options, compare_words


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The first page.

    Attributes:
        board: The leaderboard, without its command line; None if the models cannot be ranked.
        problem: Why they cannot be; empty otherwise.
        overall: By model, best first, the overall value and its 95% interval; empty without a board.
        tied: Models that cannot be told apart from the leader, with the leader; empty without a board.
        values: The recorded values by task.
        differences: Every model compared with the leader, as on the page of the leaderboard; None without a board.
        matrix: Every model on every task, with its difference from the leader, if they are compared.
        notes: What was left out, if there is no board to say it.
        means: The same of the arms of several seeds; None if there are none.
    """

    board: Document | None
    problem: str
    overall: Mapping[str, tuple[float, float, float]]
    tied: tuple[str, ...]
    values: Table
    differences: Document | None
    matrix: Matrix
    notes: tuple[str, ...]
    means: Means | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """A page of differences.

    Attributes:
        document: The tables, with failed and truncated requests next to the differences that they affect.
        matrix: The same differences, for the forest plot; its cells have no values.
    """

    document: Document
    matrix: Matrix


def overview(records: Records, options: Options) -> Overview:
    """Return the first page of records whose items are read."""
    intervals = IntervalCache()
    values = task_values(records.models, intervals)
    notes = (*records.skipped, *records.empty)
    single = [Arm(name=model.name, models=(model,)) for model in records.models]
    averaged = means(records.models, options, intervals, notes)
    try:
        board = rank(records.models, force=options.force, notes=notes)
    except HarnessError as error:  # one model only, or models without a common task
        problem = "" if len(records.models) < 2 else str(error)
        return Overview(
            board=None,
            problem=problem,
            overall={},
            tied=(),
            values=values,
            differences=None,
            matrix=values_matrix(single, intervals),
            notes=notes,
            means=averaged,
        )
    estimates = board_estimates(board, intervals)
    document = leaderboard_document(board, estimates, "")
    report = _report(BoardParts(board=board, estimates=estimates, document=document, intervals=intervals), options)
    return Overview(
        board=document,
        problem="",
        overall={name: (one.value, one.low, one.high) for name, one in estimates.overall.items()},
        tied=tuple(row.model.name for row in board.standings if row.tied_with_leader),
        values=values,
        differences=document_with_failed_and_cut(report.differences_document, report.comparison) if report else None,
        matrix=_matrix(values_matrix(single, intervals), report),
        notes=(),
        means=averaged,
    )


def _report(parts: BoardParts, options: Options) -> Report | None:
    """Return the report, in which every model is compared with the leader; None if they cannot be compared."""
    try:
        return leaderboard_report(parts, runs=options.runs, force=options.force)
    except RecordError:
        return None


def _matrix(values: Matrix, report: Report | None) -> Matrix:
    """Return the report's matrix, with the models and the tasks that cannot be compared with the leader at its ends."""
    if report is None:
        return values
    return with_values(reference_matrix(report.comparison, report.estimates, report.intervals), values)


def comparison(models: Sequence[ModelRecords], options: Options) -> Compared:
    """Compare models with the first of them, as `harness compare` does.

    Args:
        models: Two or more, without items.
        options: What the user asked for.

    Raises:
        RecordError: The models cannot be compared, or their files changed.
    """
    records = Records(models=tuple(models), skipped=())
    loaded = read(records, skip_broken=options.skip_broken, parallel=False).models
    arms = [Arm(name=model.name, models=(model,)) for model in loaded]
    compared = compare(arms, force=options.force)
    document = comparison_document(compared, compare_command(models, options))
    return Compared(document=document_with_failed_and_cut(document, compared), matrix=differences_matrix(compared))


def leaderboard_command(options: Options) -> str:
    """Return the command line that gives the leaderboard."""
    return shlex.join(["harness", "leaderboard", *options.runs, *options.flags])


def compare_command(models: Sequence[ModelRecords], options: Options) -> str:
    """Return the command line that gives the same numbers."""
    return compare_words([Arm(name="", models=(model,)) for model in models], options)
