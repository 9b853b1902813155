"""Tables of documents as the templates show them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from harness.reports.documents.tables import Column, Row, Table, text

_NAMED_WITH = (
    "model",
    "arm",
    "stage",
    "task",
    "phase",
    "source",
    "contrast",
    "domain",
)  # they tell rows apart on paper
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
    names = _name_classes(table.shown)
    return {
        "drawn_at": keys.index(after) if drawings else -1,
        "key": table.key,
        "title": table.title,
        "columns": [_heading(column, names) for column in table.shown],
        "rows": [_row(table.shown, row, names) for row in table.rows],
        "drawings": [Markup(one) for one in drawings] if drawings else None,  # noqa: S704 - numbers only
        "drawn": Markup(heading),  # noqa: S704 - numbers only
        "printed": len(table.rows) <= PRINTED_ROWS,
    }


def _name_classes(columns: Sequence[Column]) -> dict[str, str]:
    """Return the CSS classes of the columns that stay in view: ``name``, then ``name at-1`` for the next one."""
    keys = [column.key for column in columns if column.place == "name" and column.kind == "text"]
    return {key: f"name at-{at}" if at else "name" for at, key in enumerate(keys)}


def _heading(column: Column, names: Mapping[str, str]) -> dict[str, Any]:
    return {
        "text": column.heading,
        "numeric": column.kind != "text",
        "meaning": column.meaning,
        "key": column.key,
        "name": names.get(column.key, ""),
        "names": column.key in _NAMED_WITH,
    }


def _row(columns: Sequence[Column], row: Row, names: Mapping[str, str]) -> dict[str, Any]:
    cells = []
    for column in columns:
        value = row.cells.get(column.key)
        plain = value[0] if isinstance(value, tuple) else value
        cells.append(
            {
                "text": text(value, column.kind),
                "value": plain,
                "numeric": column.kind != "text",
                "name": names.get(column.key, ""),
            }
        )
    return {"tone": row.tone, "cells": cells}
