"""The list of tasks as a table for the terminal, as Markdown, or as JSON. Names are never cut or folded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from harness.visible import visible

FORMATS = ("table", "md", "json")
HEADINGS = {"name": "name", "kind": "kind", "domain": "domain", "output_type": "output type", "about": "about"}
LEAST_ABOUT = 40  # columns; on a narrower terminal, lines are longer than it is wide
Row = Mapping[str, str]


def print_tasks(rows: Sequence[Row], form: str) -> None:
    """Print one line per task, group or tag.

    Args:
        rows: With the keys of `HEADINGS`; JSON shows all their keys.
        form: One of `FORMATS`.
    """
    if form == "json":
        print(json.dumps(list(rows), indent=2))
    elif form == "md":
        print(_markdown(rows))
    else:
        _print_table(rows)


def _print_table(rows: Sequence[Row]) -> None:
    from rich.cells import cell_len
    from rich.table import Table

    from harness.console import stdout

    fixed = {
        key: max(cell_len(visible(text)) for text in (heading, *(row[key] for row in rows)))
        for key, heading in HEADINGS.items()
        if key != "about"
    }
    table = Table(box=None, pad_edge=False)
    for key, heading in HEADINGS.items():
        width = fixed.get(key)
        table.add_column(heading, header_style="dim", no_wrap=width is not None, overflow="fold", min_width=width)
    for row in rows:
        table.add_row(*(row[key] or "-" for key in HEADINGS))
    console = stdout()
    console.width = max(console.width, sum(fixed.values()) + len(fixed) + LEAST_ABOUT)  # a space after each column
    console.print(table, crop=False)


def _markdown(rows: Sequence[Row]) -> str:
    lines = [f"| {' | '.join(HEADINGS.values())} |", f"|{'---|' * len(HEADINGS)}"]
    lines += [f"| {' | '.join(_cell(row[key]) for key in HEADINGS)} |" for row in rows]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return visible(text, one_line=True).replace("|", "\\|")
