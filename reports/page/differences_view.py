"""Differences from one arm: the forest plot of all arms, and the table of every difference with its interval."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from markupsafe import Markup

from harness.reports.analysis.all_pairs import failed_and_cut
from harness.reports.analysis.differences import Comparison
from harness.reports.analysis.matrix import Matrix
from harness.reports.charts.forest import COLUMNS_PER_BAND, Effect, draw_forest
from harness.reports.charts.scales import padded_range
from harness.reports.documents.tables import Document, Table
from harness.reports.page import marks
from harness.reports.page.failed_and_cut import counts_in_words, marked_names, with_failed_and_cut
from harness.reports.page.sections import drawn
from harness.reports.page.table_view import table_view

MEANING = "Requests without an answer, and requests whose input was truncated, of both models."
MOST_IN_FOREST = 8  # arms; for more, the matrix shows where they differ


def forest_view(matrix: Matrix, *, inline_style: bool = True) -> list[Markup]:
    """Return the differences of all arms on all tasks in one drawing, then as a phone shows them.

    Empty if there are too many arms.
    """
    if len(matrix.arms) - 1 > MOST_IN_FOREST:
        return []
    marked = marked_names(matrix)
    losses = {column.task for column in matrix.columns if not column.higher_is_better}
    effects = [
        Effect(
            row=marked.get(one.task, one.task),
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
    drawings = [draw_forest(effects, title, per_band) for per_band in (COLUMNS_PER_BAND, 1)]
    return [drawn(one, inline_style=inline_style) for one in drawings]


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
        _tasks_with_failed_and_cut(table, comparison), drawings=drawings, heading=marks.axis(ends), after="difference"
    )


def overall_view(comparison: Comparison, table: Table) -> dict[str, Any]:
    """Return the table of differences by domain and overall, with the failed and cut requests of their tasks."""
    return table_view(_overall_with_failed_and_cut(table, comparison))


def document_with_failed_and_cut(document: Document, comparison: Comparison) -> Document:
    """Return a comparison with failed and truncated requests next to the differences that they affect."""
    first, *others = document.tables
    tables = [_overall_with_failed_and_cut(one, comparison) if one.key == "overall" else one for one in others]
    return replace(document, tables=(_tasks_with_failed_and_cut(first, comparison), *tables))


def _overall_with_failed_and_cut(table: Table, comparison: Comparison) -> Table:
    texts = [
        _failed_and_cut(part.names, comparison, (arm, comparison.arms[0].name))
        for arm, parts in comparison.overall.items()
        for part in parts
    ]
    return with_failed_and_cut(table, texts, after="tasks", meaning=MEANING)


def _tasks_with_failed_and_cut(table: Table, comparison: Comparison) -> Table:
    texts = [_failed_and_cut([one.task], comparison, (one.arm, one.baseline)) for one in comparison.differences]
    return with_failed_and_cut(table, texts, after="items", meaning=MEANING)


def _failed_and_cut(tasks: Iterable[str], comparison: Comparison, arms: tuple[str, str]) -> str:
    models = [model for arm in comparison.arms if arm.name in arms for model in arm.models]
    runs = [model.tasks[task] for model in models for task in tasks]
    return counts_in_words(*failed_and_cut(runs))
