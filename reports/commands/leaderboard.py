"""``harness leaderboard RUNS...``: rank models, and mark those that cannot be told apart."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError, did_you_mean
from harness.reports.commands.output import (
    add_output_arguments,
    command_line,
    output_format,
    report_charts,
    split_names,
    view_options,
)

if TYPE_CHECKING:
    from harness.reports.analysis.differences import Comparison
    from harness.reports.analysis.leaderboard import Leaderboard
    from harness.reports.commands.result import ReportResult
    from harness.reports.documents.tables import Document
    from harness.reports.page.report import BoardParts, Report

PURPOSE = "Rank models, and mark those that cannot be told apart."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUNS",
        help="folders with runs of `harness eval` or `lm_eval --log_samples`, at any depth",
    )
    parser.add_argument(
        "--against",
        metavar="MODEL",
        help="also show how the overall value of each model differs from that of this one, with interval and p",
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Rank the models, and print or write the result."""
    result(args, command_line()).show(args)
    return 0


def result(args: argparse.Namespace, command: str) -> ReportResult:
    """Return the ranks of the models; nothing is printed.

    Args:
        args: The parsed flags.
        command: The command line, for the page.

    Raises:
        InputError: a flag is wrong.
        RecordError: a run is missing or damaged, or runs cannot be ranked.
    """
    kind = output_format(args)

    from harness.records import load
    from harness.reports.analysis.domains import board_estimates
    from harness.reports.analysis.intervals import IntervalCache
    from harness.reports.analysis.leaderboard import rank
    from harness.reports.analysis.overlap import read_overlaps
    from harness.reports.documents.against import with_differences
    from harness.reports.documents.leaderboard import leaderboard_document, task_values
    from harness.reports.documents.overlap_scores import leaderboard_with_overlap
    from harness.reports.page.report import BoardParts

    overlap = read_overlaps(args.overlap)
    records = load(args.runs, tasks=split_names(args.tasks), all_runs=args.all, skip_broken=args.skip_broken)
    board = rank(records.models, force=args.force, notes=[*records.skipped, *records.empty])
    intervals = IntervalCache()
    estimates = board_estimates(board, intervals)
    values = task_values(board.models, intervals) if kind != "table" else None
    document = leaderboard_document(board, estimates, command, values)
    differences = _differences(board, args) if args.against is not None else None
    if differences is not None:
        document = with_differences(document, board, differences)
    if overlap is not None:
        document = leaderboard_with_overlap(document, board, overlap, force=args.force)
    parts = BoardParts(board=board, estimates=estimates, document=document, intervals=intervals, against=differences)
    return _result(parts, args)


def _result(parts: BoardParts, args: argparse.Namespace) -> ReportResult:
    from harness.reports.analysis.recipe_graph import RecipeArm
    from harness.reports.analysis.training_curves import curves_of
    from harness.reports.commands.result import ReportResult
    from harness.reports.documents.leaderboard import with_domains
    from harness.reports.documents.lineage import with_lineage
    from harness.reports.documents.run_tables import with_run_tables

    models = parts.board.models

    @functools.cache
    def report() -> Report:
        from harness.reports.page.report import leaderboard_report

        folders, options = [str(path) for path in args.runs], view_options(args)
        return leaderboard_report(parts, runs=folders, force=args.force, options=options)

    def page() -> str:
        from harness.reports.page.html import render

        return render(report())

    def whole() -> Document:
        tables = with_domains(parts.document, parts.estimates)
        tables = with_run_tables(tables, models, curves_of(models, parts.estimates))
        return with_lineage(tables, models, [RecipeArm(name=model.name, models=(model,)) for model in models])

    return ReportResult(
        document=parts.document,
        page=page,
        charts=lambda: report_charts(report(), first="domains"),
        whole=whole,
    )


def _differences(board: Leaderboard, args: argparse.Namespace) -> Comparison:
    """Return each model against the one that ``--against`` names.

    Raises:
        InputError: It names no model of the leaderboard, or several.
    """
    from harness.reports.analysis.against import against
    from harness.reports.commands.model_finder import models_named

    matches = models_named(args.against, board.models)
    if len(matches) != 1:
        names = [model.name for model in matches or board.models]
        what = f"names {len(matches)} models" if matches else "no such model"
        hint = "" if matches else did_you_mean(args.against, names)
        raise InputError(f"--against {args.against}: {what}; give one of {', '.join(names)}.{hint}")
    return against(board, matches[0], force=args.force)
