"""Tables of a document for a notebook: as pandas frames of raw values, and as texts for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness.notebook import ShownTable
from harness.reports.documents.tables import Column, Table, text

if TYPE_CHECKING:
    import pandas as pd

PAIRS = ("interval", "ranks")


def frame(table: Table) -> pd.DataFrame:
    """Return a row per row and a column per key; a pair becomes two columns, ``_low`` and ``_high``, as in CSV."""
    import pandas as pd

    columns = [name for column in table.columns for name in _names(column)]
    rows = [[value for column in table.columns for value in _values(row.cells.get(column.key), column)]
            for row in table.rows]  # fmt: skip
    return pd.DataFrame(rows, columns=columns)


def _names(column: Column) -> list[str]:
    return [f"{column.key}_low", f"{column.key}_high"] if column.kind in PAIRS else [column.key]


def _values(value: Any, column: Column) -> list[Any]:
    if column.kind in PAIRS:
        return list(value or (None, None))
    return [value]


def shown(table: Table) -> ShownTable:
    """Return the columns that are not raw, as texts with the digits that tables for people have."""
    columns = table.shown
    return ShownTable(
        title=table.title,
        headings=tuple(column.heading for column in columns),
        numeric=tuple(column.kind != "text" for column in columns),
        rows=tuple(tuple(text(row.cells.get(column.key), column.kind) for column in columns) for row in table.rows),
        tones=tuple(row.tone for row in table.rows),
    )
