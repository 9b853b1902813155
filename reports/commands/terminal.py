"""Print a document of tables on a terminal: the answer, then what the tables show, then the notes."""

from __future__ import annotations

import io

from rich.console import Console

from harness.console import VisibleConsole, print_sentence, stdout
from harness.reports.documents.tables import CAVEAT, Document, Table, text
from harness.terminal_table import TableColumn, TableRow, TerminalTable, print_table

STYLES = {"strong": "bold", "muted": "dim", "warning": "yellow", "": None}
UNBOUNDED = 10_000


def show(document: Document, *, wide: bool = False) -> None:
    """Print a document on standard output; with `wide`, every column even on a narrow terminal."""
    _print(document, stdout(), wide=wide)


def plain(document: Document) -> str:
    """Return what `show` prints, with no limit on the width."""
    buffer = io.StringIO()
    _print(document, VisibleConsole(file=buffer, width=UNBOUNDED, highlight=False, markup=False), wide=True)
    return buffer.getvalue()


def _print(document: Document, console: Console, *, wide: bool) -> None:
    print_sentence(console, document.title, "bold")
    for answer in document.headlines:
        print_sentence(console, answer)
    for caveat in document.caveats:
        print_sentence(console, f"{CAVEAT}: {caveat}", "yellow")
    for agreement in document.agreements:
        print_sentence(console, agreement, "dim")
    for table in document.tables:
        console.print()
        if len(document.tables) > 1:
            print_sentence(console, table.title, "bold")
        print_table(_for_terminal(table), console, wide=wide)
    console.print()
    for note in document.notes[document.n_headlines :]:
        print_sentence(console, note, "dim")


def _for_terminal(table: Table) -> TerminalTable:
    columns = tuple(
        TableColumn(
            heading=column.heading,
            numbers=column.kind != "text",
            place="group" if column.above_rows else column.place,
        )
        for column in table.shown
    )
    rows = tuple(
        TableRow(
            cells=tuple(text(row.cells.get(column.key), column.kind) for column in table.shown), style=STYLES[row.tone]
        )
        for row in table.rows
    )
    return TerminalTable(columns=columns, rows=rows)
