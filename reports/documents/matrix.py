"""The matrix as two tables for JSON: the value of each arm on each task, and the difference of each pair of arms."""

from __future__ import annotations

import math
from dataclasses import replace

from harness.reports.analysis.matrix import Matrix, PairDifference
from harness.reports.documents.tables import Column, Document, Row, Table

VALUE_COLUMNS = (
    Column(key="arm", heading="arm", kind="text"),
    Column(key="runs", heading="runs", kind="count", meaning="Training runs that are averaged."),
    Column(key="parent", heading="parent", kind="text", meaning="Row with its parents, if they are evaluated."),
    Column(key="task", heading="task", kind="text"),
    Column(key="domain", heading="domain", kind="text"),
    Column(key="value", heading="value", meaning="Mean over runs and items, overall as in the other tables."),
    Column(key="interval", heading="95% interval", kind="interval", meaning="95% interval of the value."),
    Column(key="failed", heading="failed", kind="count", meaning="Requests without an answer."),
    Column(key="cut", heading="cut", kind="count", meaning="Requests whose input was truncated."),
)
PAIR_COLUMNS = (
    Column(key="baseline", heading="baseline", kind="text"),
    Column(key="arm", heading="arm", kind="text"),
    Column(key="task", heading="task", kind="text"),
    Column(key="difference", heading="difference", kind="difference", meaning="Arm minus baseline."),
    Column(key="interval", heading="95% interval", kind="interval", meaning="95% interval of the difference."),
    Column(key="p", heading="p", kind="p", meaning="Two-sided."),
    Column(key="p_corrected", heading="p corr.", kind="p", meaning="Corrected for every pair of arms, by Holm."),
    Column(key="detectable", heading="detectable", meaning="True difference found with 80% power."),
    Column(key="gained", heading="gained", kind="count", meaning="Items on which the arm is better."),
    Column(key="lost", heading="lost", kind="count", meaning="Items on which the baseline is better."),
)


def with_matrix(document: Document, matrix: Matrix) -> Document:
    """Return the document with the tables ``matrix`` and ``pairs``."""
    return replace(document, tables=(*document.tables, _values(matrix), _pairs(matrix)))


def _values(matrix: Matrix) -> Table:
    rows = []
    for arm in matrix.arms:
        for column in matrix.columns:
            cell = matrix.cells.get((arm.name, column.task))
            if cell is not None:
                cells = {
                    "arm": arm.name,
                    "runs": arm.runs,
                    "parent": arm.parent or None,
                    "task": column.task,
                    "domain": column.domain or None,
                    "value": cell.value,
                    "interval": None if math.isnan(cell.low) else (cell.low, cell.high),
                    "failed": cell.failed,
                    "cut": cell.cut,
                }
                rows.append(Row(cells=cells))
    return Table(key="matrix", title="Values by arm and task", columns=VALUE_COLUMNS, rows=tuple(rows))


def _pairs(matrix: Matrix) -> Table:
    rows = tuple(Row(cells=_cells(one)) for one in matrix.pairs)
    return Table(key="pairs", title="Every pair of arms", columns=PAIR_COLUMNS, rows=rows)


def _cells(one: PairDifference) -> dict[str, object]:
    return {
        "baseline": one.baseline,
        "arm": one.arm,
        "task": one.task,
        "difference": one.difference,
        "interval": None if math.isnan(one.low) else (one.low, one.high),
        "p": one.p,
        "p_corrected": one.p_corrected,
        "detectable": one.detectable,
        "gained": one.gained,
        "lost": one.lost,
    }
