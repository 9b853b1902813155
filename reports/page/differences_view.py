"""Differences from one arm: the forest plot of all arms, and the table of every difference with its interval."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from markupsafe import Markup

from harness.reports.analysis.differences import Comparison, TaskDifference
from harness.reports.analysis.matrix import Matrix
from harness.reports.charts.forest import COLUMNS_PER_BAND, Effect, draw_forest
from harness.reports.charts.scales import padded_range
from harness.reports.documents.tables import Column, Table
from harness.reports.page import marks
from harness.reports.page.sections import drawn
from harness.reports.page.table_view import table_view

MOST_IN_FOREST = 8  # arms; for more, the matrix shows where they differ


def forest_view(matrix: Matrix) -> list[Markup]:
    """Return the differences of all arms on all tasks in one drawing, then as a phone shows them.

    Empty if there are too many arms.
    """
    if len(matrix.arms) - 1 > MOST_IN_FOREST:
        return []
    losses = {column.task for column in matrix.columns if not column.higher_is_better}
    effects = [
        Effect(
            row=one.task,
            column=one.arm,
            value=one.difference,
            low=one.low,
            high=one.high,
            quiet=not one.significant,
            higher_is_better=one.task not in losses,
        )
        for one in matrix.against_reference
    ]
    title = f"Differences from {matrix.reference} with their 95% intervals"
    if not any(one.finite for one in effects):
        return []
    return [drawn(draw_forest(effects, title, per_band)) for per_band in (COLUMNS_PER_BAND, 1)]


def differences_view(comparison: Comparison, table: Table) -> dict[str, Any]:
    """Return the table, each difference drawn on one scale; beside accuracies, those of losses are not drawn."""
    known = [one for one in comparison.differences if one.interval is not None]
    drawn_ones = [one for one in known if one.higher_is_better] or known
    ends = padded_range([v for one in drawn_ones for v in one.interval or ()], include=(0.0,))
    drawings = [
        marks.dot(one.difference, *one.interval, ends, rule=0.0, tone="" if one.significant else "quiet")
        if one.interval is not None and one in drawn_ones
        else ""
        for one in comparison.differences
    ]
    return table_view(
        _with_troubles(table, comparison), drawings=drawings, heading=marks.axis(ends), after="difference"
    )


def _with_troubles(table: Table, comparison: Comparison) -> Table:
    """Return the table with a column of failed and truncated requests, if any, next to the number of items."""
    troubles = [_trouble(one, comparison) for one in comparison.differences]
    if not any(troubles):
        return table
    at = [column.key for column in table.columns].index("items") + 1
    meaning = "Requests without an answer, and requests whose input was truncated, of both models."
    column = Column(key="trouble", heading="failed, cut", kind="text", meaning=meaning)
    rows = tuple(
        replace(row, cells={**row.cells, "trouble": trouble}) for row, trouble in zip(table.rows, troubles, strict=True)
    )
    return replace(table, columns=(*table.columns[:at], column, *table.columns[at:]), rows=rows)


def _trouble(one: TaskDifference, comparison: Comparison) -> str:
    models = [model for arm in comparison.arms if arm.name in (one.arm, one.baseline) for model in arm.models]
    cut = sum(model.tasks[one.task].truncated for model in models)
    failed = sum(one.failed)
    return ", ".join([*([f"{failed:,} failed"] if failed else []), *([f"{cut:,} cut"] if cut else [])])
