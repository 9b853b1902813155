"""Tables of documents as the templates show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from markupsafe import Markup

from harness.reports.documents.tables import Column, Row, Table, text

_NAMES = ("model", "arm", "stage", "task")  # columns that name a row; the first stays in view
_NAMED_WITH = (*_NAMES, "phase", "source", "contrast", "domain")  # together they tell rows apart, also on paper
PRINTED_ROWS = 60  # a longer folded table is printed only if the reader has opened it


def table_view(
    table: Table, *, drawings: Sequence[str] | None = None, heading: str = "", after: str = ""
) -> dict[str, Any]:
    """Return a table for the template.

    Args:
        table: The table.
        drawings: SVGs of a further column, one per row; None for no such column.
        heading: SVG at the head of that column.
        after: Key of the column that it follows.
    """
    keys = [column.key for column in table.shown]
    name = next((key for key in _NAMES if key in keys), "")
    return {
        "drawn_at": keys.index(after) if drawings else -1,
        "key": table.key,
        "title": table.title,
        "columns": [_heading(column, name) for column in table.shown],
        "rows": [_row(table.shown, row, name) for row in table.rows],
        "drawings": [Markup(one) for one in drawings] if drawings else None,  # noqa: S704 - numbers only
        "drawn": Markup(heading),  # noqa: S704 - numbers only
        "printed": len(table.rows) <= PRINTED_ROWS,
    }


def _heading(column: Column, name: str) -> dict[str, Any]:
    return {
        "text": column.heading,
        "numeric": column.kind != "text",
        "meaning": column.meaning,
        "key": column.key,
        "name": column.key == name,
        "names": column.key in _NAMED_WITH,
    }


def _row(columns: Sequence[Column], row: Row, name: str) -> dict[str, Any]:
    cells = []
    for column in columns:
        value = row.cells.get(column.key)
        plain = value[0] if isinstance(value, tuple) else value
        cells.append(
            {
                "text": text(value, column.kind),
                "value": plain,
                "numeric": column.kind != "text",
                "name": column.key == name,
            }
        )
    return {"tone": row.tone, "cells": cells}
