"""Where `compare` and `leaderboard` put what they found: a table on the terminal, or a file in the format asked for."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError

if TYPE_CHECKING:
    from harness.reports.documents.tables import Document
    from harness.reports.page.report import Report

FORMATS = ("table", "md", "csv", "json", "latex", "html")
SUFFIXES = {".md": "md", ".csv": "csv", ".json": "json", ".tex": "latex", ".html": "html"}


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that both commands share."""
    parser.add_argument("--tasks", default="", metavar="NAMES", help="task names, separated by commas; default: all")
    parser.add_argument("--all", action="store_true", help="every run as a model of its own, not only the latest")
    parser.add_argument("--force", action="store_true", help="go on where prompts, versions or few-shot differ; shown")
    parser.add_argument("--skip_broken", action="store_true", help="leave damaged files out, and say so")
    parser.add_argument("--format", choices=FORMATS, help="default: the ending of --output_path, else a table")
    parser.add_argument("--output_path", type=Path, metavar="FILE", help="write there, not to standard output")
    parser.add_argument("--charts", type=Path, metavar="DIR", help="also write charts there as SVG, PNG and Vega-Lite")


def chosen_format(args: argparse.Namespace) -> str:
    """Return the format: as given, by the file's ending, or a table.

    Raises:
        InputError: when the output is a folder or lies in none.
    """
    path: Path | None = args.output_path
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise InputError(f"--output_path {path}: give a file in a folder that exists.")
    return str(args.format or (SUFFIXES.get(path.suffix, "table") if path else "table"))


def names(text: str) -> tuple[str, ...]:
    """Split names at commas."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def command_line() -> str:
    """Return what the user typed."""
    return shlex.join(["harness", *sys.argv[1:]])


def view_options(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the flags that change what both commands show, for the commands of single views."""
    options = ["--tasks", args.tasks] if args.tasks else []
    return (*options, *(f"--{name}" for name in ("all", "force", "skip_broken") if getattr(args, name)))


def write(document: Document, args: argparse.Namespace) -> None:
    """Write the document where and as the flags say."""
    from harness.reports.documents import tables

    kind = chosen_format(args)
    writers: dict[str, Callable[[Document], str]] = {
        "md": tables.markdown, "csv": tables.csv, "json": tables.json, "latex": tables.latex,
    }  # fmt: skip
    if kind in writers:
        put(writers[kind](document), args.output_path)
        return

    from harness.reports.commands.terminal import plain, show

    if args.output_path is None:
        show(document)
    else:
        put(plain(document), args.output_path)


def write_charts(report: Report, folder: Path) -> None:
    """Write the charts and say where."""
    from harness.reports.charts import charts

    for path in charts.write(charts.charts(report.comparison, report.board, report.points), folder):
        print(f"written: {path}", file=sys.stderr)


def put(text: str, path: Path | None) -> None:
    """Write text to a file, or to standard output.

    Raises:
        InputError: when the file cannot be written.
    """
    if path is None:
        sys.stdout.write(text)
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"--output_path {path}: cannot be written ({error.strerror}); give another file.") from None
    print(f"written: {path}", file=sys.stderr)
