"""Tables as a fragment of HTML, which notebooks show in place of an object's text.

    table = ShownTable(title="Values", headings=("task", "value"), numeric=(False, True), rows=(("arc", "0.412"),))
    fragment("Evaluation", [table], lines=["Two requests failed."])     # "<div>...<table>..."

Texts are escaped. The colours are the notebook's own, so that the fragment is legible on light and dark pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from harness.visible import visible

STYLES = {"strong": "font-weight:600", "muted": "opacity:0.55", "warning": "color:#b26a00", "": ""}
PADDING = "padding:2px 10px 2px 0"
MOST_ROWS = 200
"""Rows of a table that are shown; its frame has all."""


@dataclass(frozen=True, kw_only=True)
class ShownTable:
    """A table of texts.

    Attributes:
        title: Stands above it; empty for none.
        headings: One per column.
        numeric: Whether each column is aligned to the right.
        rows: Texts, one per column.
        tones: Key of `STYLES` for each row; empty if all rows look the same.
    """

    title: str
    headings: tuple[str, ...]
    numeric: tuple[bool, ...]
    rows: tuple[tuple[str, ...], ...]
    tones: tuple[str, ...] = ()


def fragment(title: str, tables: Sequence[ShownTable], lines: Sequence[str] = ()) -> str:
    """Return a title, sentences and tables as HTML.

    Args:
        title: Stands first, in bold.
        tables: From top to bottom.
        lines: Sentences between the title and the tables.
    """
    parts = [f"<p><strong>{_text(title)}</strong></p>", *(f"<p>{_text(line)}</p>" for line in lines)]
    return f"<div>{''.join([*parts, *map(_table, tables)])}</div>"


def _table(table: ShownTable) -> str:
    head = "".join(map(_heading, table.headings, table.numeric))
    tones = table.tones or ("",) * len(table.rows)
    shown = zip(table.rows[:MOST_ROWS], tones, strict=False)
    body = "".join(_row(row, table.numeric, tone) for row, tone in shown)
    left_out = len(table.rows) - MOST_ROWS
    more = f"<p>{left_out:,} more rows; .frame() has all.</p>" if left_out > 0 else ""
    caption = f"<p>{_text(table.title)}</p>" if table.title else ""
    return f"{caption}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _heading(text: str, numeric: bool) -> str:
    return f'<th style="{PADDING};text-align:{_side(numeric=numeric)}">{_text(text)}</th>'


def _row(cells: Sequence[str], numeric: Sequence[bool], tone: str) -> str:
    written = "".join(
        f'<td style="{PADDING};text-align:{_side(numeric=number)};white-space:nowrap">{_text(cell)}</td>'
        for cell, number in zip(cells, numeric, strict=True)
    )
    return f'<tr style="{STYLES[tone]}">{written}</tr>'


def _side(*, numeric: bool) -> str:
    return "right" if numeric else "left"


def _text(text: str) -> str:
    return escape(visible(text, one_line=True))
