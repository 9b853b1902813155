"""Print a document of tables on a terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable

from harness.console import VisibleConsole, stdout
from harness.reports.documents.tables import Column, Document, Table, text

STYLES = {"strong": "bold", "muted": "dim", "warning": "yellow", "": None}
UNBOUNDED = 10_000


def show(document: Document) -> None:
    """Print tables and notes on standard output; a narrow terminal loses columns that are `aside`."""
    _print(document, stdout())


def plain(document: Document) -> str:
    """Return what `show` prints, with no limit on the width."""
    buffer = io.StringIO()
    _print(document, VisibleConsole(file=buffer, width=UNBOUNDED, highlight=False, markup=False))
    return buffer.getvalue()


def _print(document: Document, console: Console) -> None:
    console.print(document.title, style="bold", soft_wrap=True)
    for caveat in document.caveats:
        console.print(f"Not comparable: {caveat}", style="yellow", soft_wrap=True)
    for agreement in document.agreements:
        console.print(agreement, style="dim", soft_wrap=True)
    for table in document.tables:
        drawn = _fitting(table, console)
        if not console.is_terminal:  # a file or a pipe has no width, so no number may be cut
            console.width = max(console.width, _needed(drawn, console))
        console.print(drawn)
        console.print()
    for note in document.notes:
        console.print(note, style="dim", soft_wrap=True)


def _fitting(table: Table, console: Console) -> RichTable:
    """Return the table for the console, without `aside` columns if it would not fit."""
    columns = list(table.shown)
    while True:
        drawn = _drawn(table, columns)
        spare = [column for column in columns if column.aside]
        if _needed(drawn, console) <= console.width or not spare:
            return drawn
        columns.remove(spare[0])


def _needed(drawn: RichTable, console: Console) -> int:
    return Measurement.get(console, console.options.update(max_width=UNBOUNDED), drawn).maximum


def _drawn(table: Table, columns: Sequence[Column]) -> RichTable:
    drawn = RichTable(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        drawn.add_column(column.heading, justify="left" if column.kind == "text" else "right", no_wrap=True)
    for row in table.rows:
        drawn.add_row(*(text(row.cells.get(c.key), c.kind) for c in columns), style=STYLES[row.tone])
    return drawn
