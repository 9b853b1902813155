"""``harness leaderboard RUNS...``: rank models, and mark those that cannot be told apart."""

from __future__ import annotations

import argparse
from pathlib import Path

from harness.reports.commands.output import (
    PAGES,
    add_output_arguments,
    command_line,
    output_format,
    split_names,
    view_options,
    write_charts,
    write_document,
    write_page,
)

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
    add_output_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Rank the models, and print or write the result."""
    kind = output_format(args)

    from harness.records import load
    from harness.reports.analysis.domains import board_estimates
    from harness.reports.analysis.intervals import IntervalCache
    from harness.reports.analysis.leaderboard import rank
    from harness.reports.analysis.overlap import read_overlaps
    from harness.reports.documents.leaderboard import leaderboard_document, task_values, with_domains
    from harness.reports.documents.overlap_scores import leaderboard_with_overlap

    overlap = read_overlaps(args.overlap)
    records = load(args.runs, tasks=split_names(args.tasks), all_runs=args.all, skip_broken=args.skip_broken)
    board = rank(records.models, force=args.force, notes=[*records.skipped, *records.empty])
    intervals = IntervalCache()
    values = task_values(board.models, intervals) if kind != "table" else None
    document = leaderboard_document(board, command_line(), values)
    if overlap is not None:
        document = leaderboard_with_overlap(document, board, overlap, force=args.force)
    estimates = None
    if kind in PAGES or args.charts:
        from harness.reports.page.html import render
        from harness.reports.page.report import leaderboard_report

        folders, options = [str(path) for path in args.runs], view_options(args)
        report = leaderboard_report(board, document, intervals, runs=folders, force=args.force, options=options)
        estimates = report.estimates
        if args.charts:
            write_charts(report, args.charts)
        if kind in PAGES:
            write_page(render(report), kind, args.output_path)
            return 0
    if kind == "json":
        document = with_domains(document, estimates or board_estimates(board, intervals))
    write_document(document, args)
    return 0
