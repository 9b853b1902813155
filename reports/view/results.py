"""The tables of the report that the viewer shows: ranks, values by task, and differences.

Nothing is computed here: `rank`, `compare` and the documents are those of `harness leaderboard` and `harness compare`.
The overview takes long for many models, so it is made once and kept in the index, as JSON.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from harness.errors import HarnessError, RecordError
from harness.records import ModelRecords, Records, read
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm
from harness.reports.analysis.domains import board_estimates
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.leaderboard import rank
from harness.reports.documents.comparison import comparison_document
from harness.reports.documents.leaderboard import leaderboard_document, task_values
from harness.reports.documents.tables import Column, Document, Row, Table
from harness.reports.page.report import BoardParts, leaderboard_report


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the user asked for.

    Attributes:
        runs: Folders as typed, for the command lines on the pages.
        flags: Flags that `leaderboard` and `compare` share, for the same.
        force: Rank and compare runs even if their prompts differ.
        skip_broken: Leave damaged files out.
    """

    runs: tuple[str, ...]
    flags: tuple[str, ...]
    force: bool
    skip_broken: bool


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
        notes: What was left out, if there is no board to say it.
    """

    board: Document | None
    problem: str
    overall: Mapping[str, tuple[float, float, float]]
    tied: tuple[str, ...]
    values: Table
    differences: Document | None
    notes: tuple[str, ...]


def overview(records: Records, options: Options) -> Overview:
    """Return the first page of records whose items are read."""
    intervals = IntervalCache()
    values = task_values(records.models, intervals)
    notes = (*records.skipped, *records.empty)
    try:
        board = rank(records.models, force=options.force, notes=notes)
    except HarnessError as error:  # one model only, or models without a common task
        problem = "" if len(records.models) < 2 else str(error)
        return Overview(board=None, problem=problem, overall={}, tied=(), values=values, differences=None, notes=notes)
    estimates = board_estimates(board, intervals)
    document = leaderboard_document(board, estimates, "")
    return Overview(
        board=document,
        problem="",
        overall={name: (one.value, one.low, one.high) for name, one in estimates.overall.items()},
        tied=tuple(row.model.name for row in board.standings if row.tied_with_leader),
        values=values,
        differences=_against_the_leader(
            BoardParts(board=board, estimates=estimates, document=document, intervals=intervals), options
        ),
        notes=(),
    )


def _against_the_leader(parts: BoardParts, options: Options) -> Document | None:
    try:
        return leaderboard_report(parts, runs=options.runs, force=options.force).differences_document
    except RecordError:
        return None


def comparison(models: Sequence[ModelRecords], options: Options) -> Document:
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
    return comparison_document(compare(arms, force=options.force), compare_command(models, options))


def leaderboard_command(options: Options) -> str:
    """Return the command line that gives the leaderboard."""
    return shlex.join(["harness", "leaderboard", *options.runs, *options.flags])


def compare_command(models: Sequence[ModelRecords], options: Options) -> str:
    """Return the command line that gives the same numbers."""
    names = [model.name for model in models]
    if len(options.runs) == 1:
        return shlex.join(["harness", "compare", *names, "--runs", options.runs[0], *options.flags])
    folders = [str(model.folders[0]) for model in models]
    return shlex.join(["harness", "compare", *folders, *options.flags])


def to_plain(overview: Overview) -> dict[str, Any]:
    """Return an overview as JSON can hold it."""
    return asdict(overview)


def from_plain(plain: Mapping[str, Any]) -> Overview:
    """Return the overview that `to_plain` wrote."""
    return Overview(
        board=_document(plain["board"]),
        problem=plain["problem"],
        overall={name: (ends[0], ends[1], ends[2]) for name, ends in plain["overall"].items()},
        tied=tuple(plain["tied"]),
        values=_table(plain["values"]),
        differences=_document(plain["differences"]),
        notes=tuple(plain["notes"]),
    )


def _document(plain: Mapping[str, Any] | None) -> Document | None:
    if plain is None:
        return None
    sentences = {name: tuple(plain[name]) for name in ("notes", "caveats", "agreements")}
    return Document(
        title=plain["title"],
        command=plain["command"],
        tables=tuple(map(_table, plain["tables"])),
        n_headlines=plain["n_headlines"],
        **sentences,
    )


def _table(plain: Mapping[str, Any]) -> Table:
    return Table(
        key=plain["key"],
        title=plain["title"],
        columns=tuple(Column(**column) for column in plain["columns"]),
        rows=tuple(Row(**row) for row in plain["rows"]),
    )
