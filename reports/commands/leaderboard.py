"""``harness leaderboard RUNS...``: rank models, and mark those that cannot be told apart."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError, did_you_mean
from harness.reports.commands.output import (
    add_output_arguments,
    command_line,
    output_format,
    split_names,
    view_options,
    write_charts,
    write_document,
    write_text,
)

if TYPE_CHECKING:
    from harness.reports.analysis.leaderboard import Leaderboard
    from harness.reports.documents.tables import Document

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
    kind = output_format(args)

    from harness.records import load
    from harness.reports.analysis.intervals import IntervalCache
    from harness.reports.analysis.leaderboard import rank
    from harness.reports.analysis.overlap import read_overlaps
    from harness.reports.documents.leaderboard import leaderboard_document, task_values
    from harness.reports.documents.overlap_scores import leaderboard_with_overlap

    overlap = read_overlaps(args.overlap)
    records = load(args.runs, tasks=split_names(args.tasks), all_runs=args.all, skip_broken=args.skip_broken)
    board = rank(records.models, force=args.force, notes=[*records.skipped, *records.empty])
    intervals = IntervalCache()
    values = task_values(board.models, intervals) if kind != "table" else None
    document = leaderboard_document(board, command_line(), values)
    if args.against is not None:
        document = _with_differences(document, board, args)
    if overlap is not None:
        document = leaderboard_with_overlap(document, board, overlap, force=args.force)
    if kind == "html" or args.charts:
        from harness.reports.page.html import render
        from harness.reports.page.report import leaderboard_report

        folders, options = [str(path) for path in args.runs], view_options(args)
        report = leaderboard_report(board, document, intervals, runs=folders, force=args.force, options=options)
        if args.charts:
            write_charts(report, args.charts)
        if kind == "html":
            write_text(render(report), args.output_path)
            return 0
    write_document(document, args)
    return 0


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
