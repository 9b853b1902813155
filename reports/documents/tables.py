"""Documents of tables, written as Markdown, CSV or JSON; `latex` writes them for a paper.

A cell holds the raw value, and its column says how to write it for people. CSV and JSON contain raw values, the other
formats text::

    column = Column(key="p", heading="p", kind="p", meaning="Two-sided.")
    row = Row(cells={"p": 0.00021})
    markdown: <0.001        json: 0.00021

The same document always gives the same bytes.
"""

from __future__ import annotations

import csv as csv_module
import io
import json as json_module
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from harness.terminal_table import Place
from harness.visible import visible

CAVEAT = "Caution"
"""Word before each of `Document.caveats`."""
Kind = Literal["text", "count", "value", "difference", "interval", "p", "ranks", "points"]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column.

    Attributes:
        key: Its name in cells, JSON and CSV.
        heading: Its name in tables for people.
        kind: How its cells are written. Cells of ``interval`` and ``ranks`` are pairs.
        meaning: One sentence that explains it.
        place: What a narrow terminal does with it; see `harness.terminal_table`.
        above_rows: Whether a narrow terminal prints it once above the rows that have it.
        raw: Whether it is only in CSV and JSON, for further computation.
    """

    key: str
    heading: str
    kind: Kind = "value"
    meaning: str = ""
    place: Place = ""
    above_rows: bool = False
    raw: bool = False


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row.

    Attributes:
        cells: By column key; unknown if missing or None.
        tone: ``strong`` for the result, ``muted`` if not significant, ``warning`` if something failed.
    """

    cells: Mapping[str, Any]
    tone: Literal["", "strong", "muted", "warning"] = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A titled table.

    Attributes:
        key: Its name in JSON.
        title: What it shows.
        columns: From left to right.
        rows: From top to bottom.
        caption: For a paper: the test, the correction and the number of items; empty for the document's result.
    """

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    caption: str = ""

    @property
    def shown(self) -> tuple[Column, ...]:
        """The columns that are not raw."""
        return tuple(column for column in self.columns if not column.raw)


@dataclass(frozen=True, kw_only=True)
class Document:
    """The output of a command. The first table is the result, the others support it.

    Attributes:
        title: Title of the document.
        command: The command line that made it.
        tables: At least one.
        notes: The result in sentences, then warnings and remarks.
        caveats: What to bear in mind, such as unequal training tokens; stands above the tables in every format.
        agreements: What agrees, such as the tokens trained on; shown there too, except in CSV.
        n_headlines: How many of the notes, from the first, are the result, which stands under the title.
    """

    title: str
    command: str
    tables: tuple[Table, ...]
    notes: tuple[str, ...]
    caveats: tuple[str, ...] = ()
    agreements: tuple[str, ...] = ()
    n_headlines: int = 1

    @property
    def headlines(self) -> tuple[str, ...]:
        """The result, a sentence per test or arm."""
        return self.notes[: self.n_headlines]


def text(value: Any, kind: Kind) -> str:
    """Return a cell as text for people."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "-"
    if kind == "interval":
        return f"{_without_negative_zero(value[0])} to {_without_negative_zero(value[1])}"
    if kind == "ranks":
        return f"{value[0]}" if value[0] == value[1] else f"{value[0]}-{value[1]}"
    if kind == "p":
        return "<0.001" if value < 0.001 else f"{value:.3f}"
    if kind == "points":
        return f"{value:.1f}"
    if kind == "count":
        return f"{value:,}"
    if kind in ("value", "difference"):
        return _without_negative_zero(value) if kind == "value" else f"{value + 0.0:+.3f}"  # no minus before an exact 0
    return str(value)


def _without_negative_zero(value: float) -> str:
    """Return three decimals, without the minus of a value that rounds to zero."""
    written = f"{value:.3f}"
    return written.removeprefix("-") if float(written) == 0.0 else written


def markdown(document: Document) -> str:
    """Return the document as GitHub's Markdown."""
    parts = [f"# {_markdown_text(document.title)}"]
    if document.caveats:
        parts.append("\n".join(f"- **{CAVEAT}:** {_markdown_text(one)}" for one in document.caveats))
    parts += [_markdown_text(one) for one in document.agreements]
    for table in document.tables:
        parts.append(f"**{_markdown_text(table.title)}**")
        parts.append(_markdown_table(table))
    if document.notes:
        parts.append("\n".join(f"- {_markdown_text(note, code=True)}" for note in document.notes))
    command = visible(document.command)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", command)), default=0))
    parts.append(f"{fence}\n{command}\n{fence}")
    return "\n\n".join(parts) + "\n"


def _markdown_table(table: Table) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    lines = [line([_markdown_text(column.heading) for column in table.shown])]
    lines.append("|" + "|".join("---" if column.kind == "text" else "---:" for column in table.shown) + "|")
    for row in table.rows:
        cells = [_markdown_text(text(row.cells.get(column.key), column.kind)) for column in table.shown]
        lines.append(line([f"**{cell}**" for cell in cells] if row.tone == "strong" else cells))
    return "\n".join(lines)


# What Markdown or HTML would take as marks in a name; an underscore only at the edge of a word, as in "_bold_".
_MARKS = re.compile(r"[\\|*`\[\]<>&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def _markdown_text(words: str, *, code: bool = False) -> str:
    """Return `words` as one line of Markdown that shows them as they are; with `code`, backquotes stay marks."""
    flat = visible(" ".join(words.splitlines()), one_line=True)
    return _MARKS.sub(lambda match: match[0] if code and match[0] == "`" else f"\\{match[0]}", flat)


def csv_cell(value: Any) -> Any:
    """Return a cell that a spreadsheet does not take as a formula: ``=1+1`` gets a quote before it, numbers do not."""
    if not isinstance(value, str):
        return "" if value is None else value
    return f"'{visible(value)}" if value.startswith(("=", "+", "-", "@", "\t", "\r")) else visible(value)


def csv(document: Document) -> str:
    """Return the first table as CSV of raw values; a pair becomes two columns, ``_low`` and ``_high``.

    If there are caveats, the first column has them in every row: a line above the header would break readers.
    """
    table = document.tables[0]
    out = io.StringIO()
    writer = csv_module.writer(out, lineterminator="\n")
    pairs = ("interval", "ranks")
    first = [csv_cell(" ".join(document.caveats))] if document.caveats else []
    names = [n for c in table.columns for n in ((f"{c.key}_low", f"{c.key}_high") if c.kind in pairs else (c.key,))]
    writer.writerow([*(["not_comparable"] if first else []), *names])
    for row in table.rows:
        cells: list[Any] = list(first)
        for column in table.columns:
            value = row.cells.get(column.key)
            cells += list(value or ("", "")) if column.kind in pairs else [csv_cell(value)]
        writer.writerow(cells)
    return out.getvalue()


def json(document: Document) -> str:
    """Return all tables as JSON, each a list of objects with raw values; unknown values are null."""
    content = {
        "title": document.title,
        "command": document.command,
        "not_comparable": list(document.caveats),
        "agreements": list(document.agreements),
        "tables": {t.key: [{c.key: _plain(row.cells.get(c.key)) for c in t.columns} for row in t.rows]
                   for t in document.tables},
        "columns": {t.key: {c.key: c.meaning or c.heading for c in t.columns} for t in document.tables},
        "notes": [*document.notes, *document.caveats],
    }  # fmt: skip
    return json_module.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
