"""The list of tasks as a table for the terminal, as Markdown, or as JSON. Names are never cut or folded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from harness.visible import visible

FORMATS = ("table", "md", "json")
HEADINGS = {"name": "name", "kind": "kind", "domain": "domain", "output_type": "output type", "about": "about"}
BESIDE_NAME = 30  # columns for domain and purpose
Row = Mapping[str, str]


def print_tasks(rows: Sequence[Row], form: str, *, wide: bool = False) -> None:
    """Print one line per task, group or tag.

    Args:
        rows: With the keys of `HEADINGS`; JSON shows all their keys.
        form: One of `FORMATS`.
        wide: Print every column, however narrow the terminal is.
    """
    if form == "json":
        print(json.dumps(list(rows), indent=2))
    elif form == "md":
        print(_markdown(rows))
    else:
        _print_table(rows, wide=wide)


def _print_table(rows: Sequence[Row], *, wide: bool) -> None:
    from rich.cells import cell_len

    from harness.console import stdout
    from harness.terminal_table import Place, TableColumn, TableRow, TerminalTable, print_table

    places: dict[str, Place] = {"name": "name", "domain": "keep", "output_type": "aside", "about": "fold"}
    table = TerminalTable(
        columns=tuple(TableColumn(heading=heading, place=places.get(key, "")) for key, heading in HEADINGS.items()),
        rows=tuple(TableRow(cells=tuple(row[key] or "-" for key in HEADINGS)) for row in rows),
    )
    console = stdout()
    whole = max((cell_len(visible(row["name"])) for row in rows), default=0)
    console.width = max(console.width, whole + BESIDE_NAME)  # on a narrower terminal, lines are longer than it is wide
    print_table(table, console, wide=wide)


def _markdown(rows: Sequence[Row]) -> str:
    lines = [f"| {' | '.join(HEADINGS.values())} |", f"|{'---|' * len(HEADINGS)}"]
    lines += [f"| {' | '.join(_cell(row[key]) for key in HEADINGS)} |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return visible(text, one_line=True).replace("|", "\\|")
