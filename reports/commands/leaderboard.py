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
    from harness.reports.analysis.leaderboard import Leaderboard
    from harness.reports.commands.result import ReportResult
    from harness.reports.documents.tables import Document
    from harness.reports.page.report import Report

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
    from harness.reports.commands.result import ReportResult
    from harness.reports.documents.leaderboard import leaderboard_document, task_values, with_domains
    from harness.reports.documents.overlap_scores import leaderboard_with_overlap

    overlap = read_overlaps(args.overlap)
    records = load(args.runs, tasks=split_names(args.tasks), all_runs=args.all, skip_broken=args.skip_broken)
    board = rank(records.models, force=args.force, notes=[*records.skipped, *records.empty])
    intervals = IntervalCache()
    values = task_values(board.models, intervals) if kind != "table" else None
    document = leaderboard_document(board, command, values)
    if args.against is not None:
        document = _with_differences(document, board, args)
    if overlap is not None:
        document = leaderboard_with_overlap(document, board, overlap, force=args.force)

    @functools.cache
    def report() -> Report:
        from harness.reports.page.report import leaderboard_report

        folders, options = [str(path) for path in args.runs], view_options(args)
        return leaderboard_report(board, document, intervals, runs=folders, force=args.force, options=options)

    def page() -> str:
        from harness.reports.page.html import render

        return render(report())

    @functools.cache
    def whole() -> Document:
        # A report has the estimates; without charts or a page, only they are computed.
        estimates = report().estimates if args.charts else board_estimates(board, intervals)
        return document if estimates is None else with_domains(document, estimates)

    return ReportResult(
        document=document, page=page, charts=lambda: report_charts(report(), first="domains"), whole=whole
    )


def _with_differences(document: Document, board: Leaderboard, args: argparse.Namespace) -> Document:
    """Return the document with each model's difference from the one that ``--against`` names.

    Raises:
        InputError: It names no model of the leaderboard, or several.
    """
    from harness.reports.analysis.against import against
    from harness.reports.commands.model_finder import models_named
    from harness.reports.documents.against import with_differences

    matches = models_named(args.against, board.models)
    if len(matches) != 1:
        names = [model.name for model in matches or board.models]
        what = f"names {len(matches)} models" if matches else "no such model"
        hint = "" if matches else did_you_mean(args.against, names)
        raise InputError(f"--against {args.against}: {what}; give one of {', '.join(names)}.{hint}")
    return with_differences(document, board, against(board, matches[0], force=args.force))
