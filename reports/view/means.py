"""The arms of several seeds on the first page: their means, as `harness compare A=run1,run2 B=run3,run4` gives them.

`compare` and the report's matrix compute all numbers; this module orders the arms and lays out their table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import HarnessError
from harness.records import ModelRecords
from harness.reports.analysis.all_pairs import reference_matrix, values_matrix, with_values
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import OVERALL, Arm, Comparison
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.matrix import Matrix
from harness.reports.analysis.seed_arms import seed_arms
from harness.reports.documents.comparison import comparison_document
from harness.reports.documents.tables import Column, Document, Row, Table
from harness.reports.page.differences_view import document_with_failed_and_cut
from harness.reports.view.options import Options, compare_words

BOARD = "means"
COLUMNS = (
    Column(key="arm", heading="recipe", kind="text"),
    Column(key="runs", heading="seeds", kind="count", meaning="Training runs that are averaged."),
    Column(key="overall", heading="overall", meaning="Mean over the runs of the chance-centred mean over domains."),
    Column(key="interval", heading="95% interval", kind="interval", meaning="Student's t, over items and runs."),
    Column(key="difference", heading="difference", kind="difference", meaning="From the first recipe."),
    Column(key="difference_interval", heading="its 95% interval", kind="interval", meaning="Of the difference."),
    Column(
        key="p_corrected", heading="p corr.", kind="p", meaning="Corrected for every pair of recipes and their tasks."
    ),
)


@dataclass(frozen=True, kw_only=True)
class Means:
    """The arms of several seeds.

    Attributes:
        runs: Names of the runs by arm, the best arm first.
        single: Models that are no part of an arm.
        problem: Why the arms are not compared; empty if they are, or if there is one only.
        differences: Every arm against the first; None if they are not compared.
        board: Each arm with its overall value and its difference from the first arm.
        matrix: Each arm on each task, with its difference from the first arm.
    """

    runs: Mapping[str, tuple[str, ...]]
    single: tuple[str, ...]
    problem: str
    differences: Document | None
    board: Table
    matrix: Matrix


def means(
    models: Sequence[ModelRecords], options: Options, intervals: IntervalCache, notes: Sequence[str]
) -> Means | None:
    """Return the means of the arms of several seeds; None if there is no such arm.

    Args:
        models: With their items read.
        options: What the user asked for.
        intervals: Intervals computed so far.
        notes: On files that were left out.
    """
    found = seed_arms(models)
    if not found:
        return None
    values = values_matrix(found, intervals)
    arms = sorted(found, key=lambda arm: -_overall(values, arm.name))
    comparison, problem = _compared(arms, options, notes)
    matrix = values_matrix(arms, intervals)
    document = None
    if comparison is not None:
        matrix = with_values(reference_matrix(comparison, None, intervals), values)
        command = compare_words(arms, options, "--chosen")
        document = document_with_failed_and_cut(comparison_document(comparison, command), comparison)
    averaged = {model.name for arm in arms for model in arm.models}
    return Means(
        runs={arm.name: tuple(model.name for model in arm.models) for arm in arms},
        single=tuple(model.name for model in models if model.name not in averaged),
        problem=problem,
        differences=document,
        board=_board(matrix),
        matrix=matrix,
    )


def _overall(matrix: Matrix, arm: str) -> float:
    """Return an overall value to sort by; an arm without one comes last."""
    cell = matrix.cells.get((arm, OVERALL))
    return -math.inf if cell is None or math.isnan(cell.value) else cell.value


def _compared(arms: Sequence[Arm], options: Options, notes: Sequence[str]) -> tuple[Comparison | None, str]:
    """Return every arm against the first, or why they cannot be compared."""
    if len(arms) < 2:
        return None, ""
    try:
        return compare(arms, force=options.force, chosen=True, notes=notes), ""
    except HarnessError as error:
        return None, str(error)


def _board(matrix: Matrix) -> Table:
    differences = {one.arm: one for one in matrix.against_reference if one.task == OVERALL}
    rows = []
    for arm in matrix.arms:
        cell, difference = matrix.cells.get((arm.name, OVERALL)), differences.get(arm.name)
        cells: dict[str, object] = {"arm": arm.name, "runs": arm.runs}
        if cell is not None:
            cells |= {"overall": cell.value, "interval": _ends(cell.low, cell.high)}
        if difference is not None:
            ends = _ends(difference.low, difference.high)
            cells |= {"difference": difference.difference, "difference_interval": ends}
            cells |= {"p_corrected": None if math.isnan(difference.p_corrected) else difference.p_corrected}
        rows.append(Row(cells=cells))
    return Table(key=BOARD, title="Means over seeds", columns=COLUMNS, rows=tuple(rows))


def _ends(low: float, high: float) -> tuple[float, float] | None:
    return None if math.isnan(low) else (low, high)
