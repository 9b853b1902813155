"""Failed and truncated requests beside the numbers that they affect: ``3 failed, 2 cut``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from harness.reports.analysis.contrasts import Cell
from harness.reports.analysis.differences import OVERALL
from harness.reports.analysis.factorial import ContrastRow, FactorialAnalysis
from harness.reports.analysis.matrix import Matrix, MatrixCell
from harness.reports.analysis.stage_pairs import ancestor_label
from harness.reports.documents.tables import Column, Table

MARK = "\N{DAGGER}"  # after the name of a row of a drawing


def counts_in_words(failed: int, cut: int) -> str:
    """Return the counts in words; empty without any."""
    return ", ".join(f"{count:,} {word}" for count, word in ((failed, "failed"), (cut, "cut")) if count)


def with_failed_and_cut(table: Table, texts: Sequence[str], *, after: str, meaning: str) -> Table:
    """Return the table with a column of failed and truncated requests, if there are any.

    Args:
        table: The table.
        texts: One text per row.
        after: Key of the column that it follows.
        meaning: One sentence that explains it.
    """
    if not any(texts):
        return table
    at = [column.key for column in table.columns].index(after) + 1
    column = Column(key="failed_and_cut", heading="failed, cut", kind="text", meaning=meaning)
    rows = tuple(
        replace(row, cells={**row.cells, "failed_and_cut": words}) for row, words in zip(table.rows, texts, strict=True)
    )
    return replace(table, columns=(*table.columns[:at], column, *table.columns[at:]), rows=rows)


def marked_names(matrix: Matrix) -> dict[str, str]:
    """Return the marked name of each column of the matrix in which some arm has failed or truncated requests."""
    return {task: f"{task} {MARK}" for (_, task), cell in matrix.cells.items() if cell.failed or cell.cut}


def failed_and_cut_of_contrasts(analysis: FactorialAnalysis, matrix: Matrix) -> list[str]:
    """Return the failed and truncated requests behind each contrast: those of all its arms, on its tasks."""
    labels = {arm.cell: arm.name for arm in analysis.arms}
    return [_of_cells(_cells_of(row, labels, matrix)) for row in analysis.rows]


def failed_and_cut_of_arms(analysis: FactorialAnalysis, matrix: Matrix) -> list[str]:
    """Return the failed and truncated requests of each arm, on the tasks of its overall value."""
    cells = [matrix.cells.get((arm.name, OVERALL)) for arm in analysis.arms]
    return [counts_in_words(cell.failed, cell.cut) if cell else "" for cell in cells]


def _cells_of(row: ContrastRow, labels: dict[Cell, str], matrix: Matrix) -> Iterable[MatrixCell]:
    coefficients = row.spec.coefficients
    arms = {labels.get(cell) or ancestor_label(cell) for cell, weight in coefficients.items() if weight}
    if abs(sum(coefficients.values())) > 0.5:  # not a contrast of arms with each other: a stage against its parent
        arms |= {arm.parent for arm in matrix.arms if arm.name in arms}
    # A contrast of a control domain is on all tasks of the domain.
    tasks = {column.task for column in matrix.columns if row.task in (column.task, column.domain)}
    return [cell for (arm, task), cell in matrix.cells.items() if arm in arms and task in tasks]


def _of_cells(cells: Iterable[MatrixCell]) -> str:
    own = list(cells)
    return counts_in_words(sum(cell.failed for cell in own), sum(cell.cut for cell in own))
