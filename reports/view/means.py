"""The arms of several seeds on the first page: their means, as `harness compare A=run1,run2 B=run3,run4` gives them.

`compare` and the report's matrix compute all numbers; this module orders the arms and lays out their table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.errors import HarnessError
from harness.records import ModelRecords
from harness.reports.analysis.all_pairs import reference_matrix, values_matrix, with_values
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import OVERALL, Arm, Comparison
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.matrix import Matrix
from harness.reports.analysis.pairing import mismatches, pair
from harness.reports.analysis.seed_arms import seed_arms
from harness.reports.documents.comparison import comparison_document
from harness.reports.documents.tables import Column, Document, Row, Table
from harness.reports.page.differences_view import document_with_failed_and_cut
from harness.reports.view.options import Options, compare_words

BOARD = "means"
COLUMNS = (
    Column(key="arm", heading="recipe", kind="text"),
    Column(key="runs", heading="seeds", kind="count", meaning="Training runs that are averaged."),
    Column(
        key="overall",
        heading="overall",
        meaning="Mean over the runs of the chance-centred mean over domains, on the tasks and items that all recipes "
        "have in common.",
    ),
    Column(key="interval", heading="95% interval", kind="interval", meaning="Student's t, over items and runs."),
    Column(key="difference", heading="difference", kind="difference", meaning="From the first recipe."),
    Column(key="difference_interval", heading="its 95% interval", kind="interval", meaning="Of the difference."),
    Column(
        key="p_corrected", heading="p corr.", kind="p", meaning="Corrected for every pair of recipes and their tasks."
    ),
)
OTHER_ITEMS = (
    "Some recipe answered other items: overall values are on the items that all recipes answered, differences on those "
    "that both answered, so the two may not agree."
)


@dataclass(frozen=True, kw_only=True)
class Means:
    """The arms of several seeds.

    Attributes:
        runs: Names of the runs by arm, without arms whose runs have different prompts. The best arm is first, if the
            arms are compared.
        single: Models in no arm.
        problem: Why arms have no mean, or are not compared; empty if they are, or if there is one only.
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

    @property
    def has_overall(self) -> bool:
        """Whether the arms have overall values: there is one arm only, or all can be compared."""
        return any("overall" in row.cells for row in self.board.rows)


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
    unlike = {} if options.force else {arm.name: reason for arm in found if (reason := _unlike_prompts(arm))}
    arms = [arm for arm in found if arm.name not in unlike]
    values = values_matrix(arms, intervals)
    comparison, problem = _compared(sorted(arms, key=lambda arm: -_overall(values, arm.name)), options, notes)
    document, matrix = None, values
    if comparison is not None:
        matrix = with_values(reference_matrix(comparison, None, intervals), values)
        document = _differences(comparison, options.on_tasks(_common_tasks(arms)) if _left_out(arms) else options)
    if problem or not any(task == OVERALL for _, task in values.cells):
        matrix = _without_overall(matrix)
    by_name = {arm.name: arm.models for arm in arms}
    in_arms = {model.name for arm in found for model in arm.models}
    return Means(
        runs={arm.name: tuple(model.name for model in by_name[arm.name]) for arm in matrix.arms},
        single=tuple(model.name for model in models if model.name not in in_arms),
        problem=" ".join([*unlike.values(), *([problem] if problem else [])]),
        differences=document,
        board=_board(matrix),
        matrix=matrix,
    )


def _unlike_prompts(arm: Arm) -> str:
    """Return why an arm has no mean: its runs had different prompts in some task; empty if they had the same."""
    for task in _common_tasks([arm]):
        runs = {model.name: model.tasks[task] for model in arm.models}
        listed = list(runs.values())
        if reasons := mismatches(runs, pair(listed) if all(run.is_mean for run in listed) else None):
            return (
                f"{arm.name} has no mean, because its runs differ in {task}: {'; '.join(reasons)}. Evaluate all with "
                "the same settings, or give --force to average them anyway."
            )
    return ""


def _common_tasks(arms: Sequence[Arm]) -> list[str]:
    first, *others = [model for arm in arms for model in arm.models]
    return [task for task in first.tasks if all(task in model.tasks for model in others)]


def _overall(matrix: Matrix, arm: str) -> float:
    """Return an overall value to sort by; an arm without one comes last."""
    cell = matrix.cells.get((arm, OVERALL))
    return -math.inf if cell is None or math.isnan(cell.value) else cell.value


def _without_overall(matrix: Matrix) -> Matrix:
    return replace(
        matrix,
        columns=tuple(column for column in matrix.columns if column.task != OVERALL),
        cells={key: cell for key, cell in matrix.cells.items() if key[1] != OVERALL},
    )


def _compared(arms: Sequence[Arm], options: Options, notes: Sequence[str]) -> tuple[Comparison | None, str]:
    """Return every arm against the first, or why they cannot be compared."""
    if len(arms) < 2:
        return None, ""
    common, left_out = _common_tasks(arms), _left_out(arms)
    if not common:
        tasks = "; ".join(f"{arm.name}: {', '.join(_common_tasks([arm])) or 'none'}" for arm in arms[:6])
        return None, f"no task was run by all seeds of all {len(arms)} recipes ({tasks}); evaluate them on the same."
    all_notes = [*notes, *([f"Left out, not scored in all recipes: {', '.join(left_out)}."] if left_out else [])]
    try:
        return compare([_on_tasks(arm, common) for arm in arms], force=options.force, chosen=True, notes=all_notes), ""
    except HarnessError as error:
        return None, str(error)


def _left_out(arms: Sequence[Arm]) -> list[str]:
    return sorted({task for arm in arms for model in arm.models for task in model.tasks} - set(_common_tasks(arms)))


def _on_tasks(arm: Arm, tasks: Sequence[str]) -> Arm:
    models = (replace(model, tasks={task: model.tasks[task] for task in tasks}) for model in arm.models)
    return Arm(name=arm.name, models=tuple(models))


def _differences(comparison: Comparison, options: Options) -> Document:
    """Return the document of a comparison, with a caution if its pairs have not the same items."""
    document = comparison_document(comparison, compare_words(comparison.arms, options, "--chosen"))
    items = {(one.task, one.items) for one in comparison.differences}
    if len(items) > len({task for task, _ in items}):
        document = replace(document, caveats=(*document.caveats, OTHER_ITEMS))
    return document_with_failed_and_cut(document, comparison)


def _board(matrix: Matrix) -> Table:
    differences = {one.arm: one for one in matrix.against_reference if one.task == OVERALL}
    rows = []
    for arm in matrix.arms:
        cell, difference = matrix.cells.get((arm.name, OVERALL)), differences.get(arm.name)
        cells: dict[str, object] = {"arm": arm.name, "runs": arm.runs}
        if cell is not None:
            cells |= {"overall": cell.value, "interval": _ends(cell.low, cell.high)}
        if cell is not None and difference is not None:
            ends = _ends(difference.low, difference.high)
            cells |= {"difference": difference.difference, "difference_interval": ends}
            cells |= {"p_corrected": None if math.isnan(difference.p_corrected) else difference.p_corrected}
        rows.append(Row(cells=cells))
    columns = tuple(column for column in COLUMNS if any(column.key in row.cells for row in rows))
    return Table(key=BOARD, title="Means over seeds", columns=columns, rows=tuple(rows))


def _ends(low: float, high: float) -> tuple[float, float] | None:
    return None if math.isnan(low) else (low, high)
