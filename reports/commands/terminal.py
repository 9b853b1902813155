"""How a document of tables looks on a terminal."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table as RichTable

from harness.console import stdout
from harness.reports.documents.tables import Column, Document, Table, text

STYLES = {"strong": "bold", "muted": "dim", "warning": "yellow", "": None}
UNBOUNDED = 10_000


def show(document: Document) -> None:
    """Print tables and notes on standard output; a terminal that is too narrow loses columns that may stand aside."""
    _print(document, stdout())


def plain(document: Document) -> str:
    """Return what `show` would print where the width is no matter."""
    written = io.StringIO()
    _print(document, Console(file=written, width=UNBOUNDED, highlight=False, markup=False))
    return written.getvalue()


def _print(document: Document, console: Console) -> None:
    console.print(document.title, style="bold", soft_wrap=True)
    for table in document.tables:
        drawn = _fitting(table, console)
        if not console.is_terminal:  # a file or a pipe has room; a figure is never cut there
            console.width = max(console.width, _needed(drawn, console))
        console.print(drawn)
        console.print()
    for note in document.notes:
        console.print(note, style="dim", soft_wrap=True)


def _fitting(table: Table, console: Console) -> RichTable:
    """Draw a table, leaving out columns that may stand aside until it fits."""
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
