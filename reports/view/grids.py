"""Tables of the report as data for the templates, with links to the items behind a number.

The numbers are those of the documents; this module adds drawings and addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from harness.reports.analysis.differences import ALPHA, OVERALL
from harness.reports.analysis.matrix import Matrix
from harness.reports.charts.scales import padded_range
from harness.reports.documents.tables import Column, Document, Row, Table, text
from harness.reports.page import marks
from harness.reports.page.html import ranks_for_readers
from harness.reports.page.matrix_view import matrix_rows
from harness.reports.view.filters import MOST_MODELS, Filter
from harness.reports.view.means import Means
from harness.reports.view.results import Overview

Link = Callable[[str, Row], str]
"""Takes a column's key and a row; returns an address, or nothing."""

STEPS = 10  # of colour: the content policy forbids a style of its own for a cell
LONG_NAME = 26  # letters; a longer one is broken into lines
_NAMES = ("model", "arm", "task", "domain")  # columns whose cells name a row, the best name first


@dataclass(frozen=True, kw_only=True)
class Dots:
    """A column of drawings: a value with its interval on one scale for all rows.

    Attributes:
        after: Key of the column that it follows.
        values: For each row the value and the ends of its interval; None for no drawing.
        quiet: For each row, whether it is grey.
    """

    after: str
    values: Sequence[tuple[float, float, float] | None]
    quiet: Sequence[bool]

    def drawings(self) -> tuple[Markup, list[Markup]]:
        """Return the scale, for the head of the column, and the drawing of each row."""
        known = [one for one in self.values if one is not None]
        ends = padded_range([end for one in known for end in one[1:]], include=(0.0,))
        tones = ["quiet" if quiet else "" for quiet in self.quiet]
        drawn = [
            "" if one is None else marks.dot(*one, ends, rule=0.0, tone=tone)
            for one, tone in zip(self.values, tones, strict=True)
        ]
        return Markup(marks.axis(ends)), [Markup(one) for one in drawn]  # noqa: S704 - numbers only


def grid(table: Table, link: Link = lambda _key, _row: "", dots: Dots | None = None, csv: str = "") -> dict[str, Any]:
    """Return a table for the template; `csv` is the address of the same table as a file."""
    name = next((key for key in _NAMES if key in [column.key for column in table.shown]), "")
    columns: list[dict[str, Any]] = [_heading(column, name) for column in table.shown]
    rows: list[dict[str, Any]] = [
        {"tone": row.tone, "cells": [_cell(one, row, link) for one in table.shown]} for row in table.rows
    ]
    if dots is not None and any(dots.values):
        at = [column.key for column in table.shown].index(dots.after) + 1
        axis, drawings = dots.drawings()
        columns.insert(at, {"drawing": axis})
        for row, drawing in zip(rows, drawings, strict=True):
            row["cells"].insert(at, {"drawing": drawing})
    meanings = {column.heading: column.meaning for column in table.shown if column.meaning}
    return {
        "key": table.key,
        "title": table.title,
        "columns": columns,
        "rows": rows,
        "meanings": meanings,
        "csv": csv,
    }


def table_address(table: Table, query: str = "") -> str:
    """Return the address of a table as CSV; the query names the models of a comparison that the reader chose."""
    return f"/table?name={table.key}" + (f"&{query}" if query else "")


def _heading(column: Column, name: str) -> dict[str, Any]:
    """The head of a column, with the classes of its cells: the name of a row stays in view when a table is scrolled."""
    classes = {
        "number": column.kind != "text",
        "aside": column.place == "aside" and column.key != "cut",
        "name": column.key == name,
    }
    return {"text": column.heading, "classes": " ".join(word for word, holds in classes.items() if holds)}


def _cell(column: Column, row: Row, link: Link) -> dict[str, Any]:
    value = row.cells.get(column.key)
    plain = value[0] if isinstance(value, list | tuple) else value
    shown = text(value, column.kind)
    return {
        "text": shown,
        "is_long": column.kind == "text" and len(shown) > LONG_NAME,
        "value": plain,
        "href": link(column.key, row),
    }


def board_grid(overview: Overview, board: Document) -> dict[str, Any]:
    """Return the leaderboard, each model with its interval and a link to its comparison with the leader."""
    table = ranks_for_readers(board.tables[0])
    leader = str(table.rows[0].cells["model"])

    def link(key: str, row: Row) -> str:
        name = str(row.cells["model"])
        return f"/items?{Filter(models=(name,)).query()}" if key == "model" else (
            f"/compare?{Filter(models=(leader, name)).query()}" if key == "overall" and name != leader else ""
        )  # fmt: skip

    dots = Dots(
        after="interval",
        values=[overview.overall.get(str(row.cells["model"])) for row in table.rows],
        quiet=[row.cells["model"] not in overview.tied for row in table.rows],
    )
    return grid(table, link, dots, table_address(table))


def means_grid(means: Means) -> dict[str, Any]:
    """Return the arms of several seeds, each with its overall value; a name leads to the items of its runs."""

    def link(key: str, row: Row) -> str:
        return f"/items?{Filter(models=_of_arm(means, row)).query()}" if key == "arm" else ""

    values = [(row.cells.get("overall"), row.cells.get("interval")) for row in means.board.rows]
    tied = [row.cells.get("p_corrected") is not None and not _is_significant(row) for row in means.board.rows]
    tied[:1] = [means.differences is not None]  # the first, from which the others differ or not
    dots = Dots(
        after="interval",
        values=[None if value is None or ends is None else (value, *ends) for value, ends in values],
        quiet=[not one for one in tied],
    )
    return grid(means.board, link, dots, table_address(means.board))


def _of_arm(means: Means, row: Row) -> tuple[str, ...]:
    """The runs of an arm whose items can be shown side by side."""
    return means.runs[str(row.cells["arm"])][:MOST_MODELS]


def differences_grids(document: Document, baseline: str, query: str, *, has_items: bool = True) -> list[dict[str, Any]]:
    """Return the tables of a comparison, each number of items with a link to these items.

    Args:
        document: The comparison.
        baseline: The model that the others are compared with.
        query: Names the models, if the reader chose them.
        has_items: Whether the arms are models, which have items to show.
    """

    def link(key: str, row: Row) -> str:
        arm = str(row.cells["arm"])
        task = str(row.cells.get("task", ""))
        wanted = Filter(models=(baseline, arm), task=task)
        outcomes = {"gained": "gained", "lost": "lost", "items": ""}
        return f"/items?{wanted.query(outcome=outcomes[key])}" if has_items and task and key in outcomes else ""

    return [grid(table, link, _of_differences(table), table_address(table, query)) for table in document.tables]


def _of_differences(table: Table) -> Dots | None:
    if "interval" not in [column.key for column in table.shown]:
        return None
    pairs = [(row.cells.get("difference"), row.cells.get("interval")) for row in table.rows]
    values = [None if value is None or ends is None else (value, ends[0], ends[1]) for value, ends in pairs]
    return Dots(after="difference", values=values, quiet=[not _is_significant(row) for row in table.rows])


def _is_significant(row: Row) -> bool:
    p = row.cells.get("p_corrected")
    return p is not None and p <= ALPHA


def matrix_grid(matrix: Matrix) -> dict[str, Any]:
    """Return the report's matrix; a value leads to its items, an overall value to the comparison with the leader."""
    view = matrix_rows(matrix)
    for row in view["rows"]:
        for cell in row["cells"]:
            names = tuple(dict.fromkeys(name for name in (matrix.reference, row["name"]) if name))
            wanted = Filter(models=names, task="" if cell["task"] == OVERALL else cell["task"])
            page = "compare" if cell["task"] == OVERALL and len(names) > 1 else "items"
            cell["href"] = f"/{page}?{wanted.query()}"
            cell["label"] = _label(row["name"], cell, matrix.reference)
            cell["step"] = round(int(cell["strength"].removesuffix("%")) / STEPS)
    return view


def means_matrix_grid(means: Means) -> dict[str, Any]:
    """Return the matrix of the arms of several seeds; a value leads to items of its runs, overall to the comparison."""
    view = matrix_grid(means.matrix)
    for row in view["rows"]:
        runs = means.runs[row["name"]]
        for cell in row["cells"]:
            is_overall = cell["task"] == OVERALL
            wanted = Filter(models=runs[:MOST_MODELS], task="" if is_overall else cell["task"])
            cell["href"] = "/compare" if is_overall and means.differences else f"/items?{wanted.query()}"
    return view


def _label(name: str, cell: Mapping[str, Any], reference: str) -> str:
    """Return a cell in words, for the tooltip and for screen readers."""
    parts = [f"{name} on {cell['task']}: {cell['value']}, 95% {cell['interval']}"]
    if cell["difference"]:
        sure = "significant after correction" if cell["real"] else "not significant"
        parts.append(f"{cell['difference']} from {reference}, {sure}")
    return "; ".join([*parts, *([cell["failed_and_cut"]] if cell["failed_and_cut"] else [])])
