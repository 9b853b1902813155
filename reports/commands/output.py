"""Output of `compare` and `leaderboard`: a table on the terminal, or a file in one of the formats."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.flags import add_wide
from harness.redaction import recorded_command
from harness.visible import say

if TYPE_CHECKING:
    from harness.reports.charts.charts import Chart
    from harness.reports.documents.tables import Document
    from harness.reports.page.report import Report

FORMATS = ("table", "md", "csv", "json", "latex", "html", "pdf")
PAGES = ("html", "pdf")
SUFFIXES = {".md": "md", ".csv": "csv", ".json": "json", ".tex": "latex", ".html": "html", ".pdf": "pdf"}


def add_selection_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that select the runs and tasks of a report."""
    parser.add_argument(
        "--tasks",
        default="",
        metavar="NAMES",
        help="task names or patterns (mini_*), separated by commas; default: all",
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="treat every run as a model of its own, not only the latest run of each model",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="compare runs even if prompts, versions or few-shot differ, and add a warning",
    )
    parser.add_argument("--skip_broken", action="store_true", help="leave damaged files out, and add a note")


def add_output_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags that both commands share."""
    add_selection_arguments(parser)
    parser.add_argument(
        "--overlap",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="JSON of `harness overlap`: also show the scores without the items that occur in training data; may be "
        "repeated",
    )
    parser.add_argument("--format", choices=FORMATS, help="default: the ending of --output_path, otherwise a table")
    parser.add_argument("--output_path", type=Path, metavar="FILE", help="file to write instead of standard output")
    add_columns_argument(parser)
    parser.add_argument(
        "--charts", type=Path, metavar="DIR", help="folder in which to write charts too, as SVG, PNG and Vega-Lite"
    )
    add_wide(parser)


def add_columns_argument(parser: argparse.ArgumentParser) -> None:
    """Declare the flag that chooses the columns of LaTeX tables."""
    parser.add_argument(
        "--columns",
        metavar="NAMES",
        help="columns of LaTeX tables by their names in JSON, separated by commas; default: what fits one column",
    )


def output_format(args: argparse.Namespace) -> str:
    """Return the format: as given, by the ending of the file, or a table.

    Raises:
        InputError: The output path is a folder, or its folder does not exist; or PDF has no file or no browser.
    """
    path: Path | None = args.output_path
    if path is not None and (path.is_dir() or not path.absolute().parent.is_dir()):
        raise InputError(f"--output_path {path}: give a file in a folder that exists.")
    if args.format is None and path is not None and path.suffix not in (*SUFFIXES, "", ".txt", ".log"):
        raise InputError(
            f"--output_path {path}: no format has the ending {path.suffix}; give one of {', '.join(SUFFIXES)}, or .txt "
            "for a table, or choose with --format."
        )
    kind = str(args.format or (SUFFIXES.get(path.suffix, "table") if path else "table"))
    if getattr(args, "columns", None) and kind != "latex":
        raise InputError(f"--columns {args.columns}: only for LaTeX tables; give --format latex, or leave it out.")
    if kind == "pdf":
        from harness.reports.page.pdf import find_browser

        if path is None:
            raise InputError("--format pdf: is not text; give a file with --output_path, such as report.pdf.")
        find_browser()
    return kind


def split_names(text: str) -> tuple[str, ...]:
    """Split names at commas; blank names are dropped."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def command_line() -> str:
    """Return the command line as the user typed it, without secrets."""
    return recorded_command(["harness", *sys.argv[1:]])


def view_options(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the flags that both commands share and that change their numbers, for the command lines on the page."""
    options = ["--tasks", args.tasks] if args.tasks else []
    options += [word for path in args.overlap for word in ("--overlap", str(path))]
    return (*options, *(f"--{name}" for name in ("all", "force", "skip_broken") if getattr(args, name)))


def write_document(document: Document, args: argparse.Namespace) -> None:
    """Write the document in the format and to the place that the flags name."""
    if output_format(args) == "table" and args.output_path is None:
        from harness.reports.commands.terminal import show

        show(document, wide=args.wide)
    else:
        write_text(document_text(document, output_format(args), chosen_columns(args)), args.output_path)


def chosen_columns(args: argparse.Namespace) -> tuple[str, ...]:
    """Return the columns that the flags name for LaTeX; empty for those that fit."""
    return split_names(getattr(args, "columns", None) or "")


def document_text(document: Document, kind: str, columns: Sequence[str] = ()) -> str:
    """Return the document in a format other than a page; `columns` are those of LaTeX tables."""
    from harness.reports.commands.terminal import plain
    from harness.reports.documents import tables
    from harness.reports.documents.latex import latex

    writers: dict[str, Callable[[Document], str]] = {
        "table": plain, "md": tables.markdown, "csv": tables.csv, "json": tables.json,
        "latex": lambda one: latex(one, columns),
    }  # fmt: skip
    return writers[kind](document)


def report_charts(report: Report, *, first: str = "differences") -> dict[str, Chart]:
    """Return a report's charts by name, beginning with the chart `first`.

    Raises:
        InputError: Altair is not installed.
    """
    from harness.reports.charts import charts

    made = charts.charts(report.comparison, report.board, report.estimates)
    return {name: made[name] for name in sorted(made, key=lambda name: name != first)}


def write_page(page: str, kind: str, path: Path | None) -> None:
    """Write a page as HTML, or print it to a PDF file with a browser; `path` is None for standard output.

    Raises:
        InputError: The file cannot be written, or there is no browser.
        HarnessError: The browser failed.
    """
    if kind == "html" or path is None:
        write_text(page, path)
        return
    from harness.reports.page.pdf import print_pdf

    print_pdf(page, path)
    say(f"written: {path}", file=sys.stderr)


def write_text(text: str, path: Path | None) -> None:
    """Write text to a file, or to standard output.

    Raises:
        InputError: The file cannot be written.
    """
    if path is None:
        sys.stdout.write(text)
        return
    write_file(text, path)
    say(f"written: {path}", file=sys.stderr)


def write_file(text: str, path: Path) -> None:
    """Write text to a file, complete or not at all; a device or a pipe is written directly.

    Raises:
        InputError: The file cannot be written.
    """
    target = path.resolve()  # the file that a link points to
    part = (
        target if target.exists() and not target.is_file() else target.with_name(f".{target.name}.{os.getpid()}.part")
    )
    try:
        part.write_text(text, encoding="utf-8")
        if part != target:
            part.replace(target)
    except OSError as error:
        if part != target:
            part.unlink(missing_ok=True)
        raise InputError(f"--output_path {path}: cannot be written ({error.strerror}); give another file.") from None
