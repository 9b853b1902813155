"""The matrix of a factorial study: every arm and every evaluated parent on every task, and the difference of each pair.

Values and differences are contrasts of cell means, with the error of items and training runs (`stats.factorial`). A
stage and its own parent are compared checkpoint by checkpoint, as in the table of contrasts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.errors import RecordError
from harness.reports.analysis.all_pairs import counts_of, mean_cell
from harness.reports.analysis.contrasts import Cell, cell_label
from harness.reports.analysis.differences import OVERALL
from harness.reports.analysis.factorial import FactorialAnalysis
from harness.reports.analysis.matrix import Key, Matrix, MatrixArm, MatrixCell, MatrixColumn, PairDifference
from harness.reports.analysis.stage_pairs import Ancestors, ancestor_label, ancestors_of
from harness.reports.analysis.study import TrainingRun
from harness.reports.analysis.task_values import (
    TaskValues,
    collect,
    overall_limits,
    overall_tables,
    overall_tasks,
)
from harness.stats import holm
from harness.stats.factorial import ContrastEstimate, ItemTable, Runs, estimate_contrast


@dataclass(frozen=True, kw_only=True, eq=False)
class _Values:
    """The values of some runs, ready for contrasts.

    Attributes:
        tasks: By domain and name.
        runs: One per row of their values.
        any_scale: See `overall_tables`.
    """

    tasks: Sequence[TaskValues]
    runs: Sequence[TrainingRun]
    any_scale: bool

    @property
    def grouped(self) -> Runs:
        return Runs(cells=[run.cell for run in self.runs], plots=[run.plot for run in self.runs])

    @property
    def tables(self) -> dict[str, list[ItemTable]]:
        """The tables of each column that add up to its value."""
        overall = overall_tables(self.tasks, any_scale=self.any_scale)
        return ({OVERALL: overall} if overall else {}) | {one.task: [one.table] for one in self.tasks}


def study_matrix(analysis: FactorialAnalysis, *, force: bool) -> Matrix:
    """Return the matrix of a study, the ancestors first.

    Args:
        analysis: The analysis.
        force: Use runs even if their prompts differ.
    """
    arms = _Values(tasks=analysis.tasks, runs=analysis.runs, any_scale=analysis.any_scale)
    ancestors = ancestors_of(analysis.study, analysis.runs)
    whole = _with_ancestors(arms, ancestors, force=force)
    if whole is None:
        ancestors, whole = Ancestors(runs=(), parents={}), arms
    of_design = [arm.cell for arm in analysis.arms]
    above = list(dict.fromkeys(run.cell for run in ancestors.runs))
    names = {cell: ancestor_label(cell) for cell in above}
    names |= {cell: cell_label(cell, analysis.study.factors) for cell in of_design}
    pairs = _pairs(analysis, (arms, whole), names, ancestors.parents)
    return Matrix(
        arms=tuple(
            MatrixArm(
                name=name,
                runs=sum(run.cell == cell for run in whole.runs),
                parent=names.get(ancestors.parents.get(cell, ()), ""),
            )
            for cell, name in names.items()
        ),
        columns=_columns(arms),
        cells=_cells(arms, {cell: names[cell] for cell in of_design})
        | _cells(whole, {cell: names[cell] for cell in above}),
        reference=names[of_design[0]],
        against_reference=(),
        pairs=pairs,
        tests=sum(math.isfinite(one.p) for one in pairs),
    )


def _with_ancestors(arms: _Values, ancestors: Ancestors, *, force: bool) -> _Values | None:
    """Return the values of the runs and their ancestors; None without ancestors on the same tasks."""
    if not ancestors.runs:
        return None
    runs = [*arms.runs, *ancestors.runs]
    try:
        tasks = collect(runs, [], force=force)
    except RecordError:
        return None
    return _Values(tasks=tasks, runs=runs, any_scale=arms.any_scale)


def _columns(values: _Values) -> tuple[MatrixColumn, ...]:
    tasks = tuple(
        MatrixColumn(task=one.task, domain=one.domain, chance=one.chance, higher_is_better=_higher(values, one.task))
        for one in values.tasks
    )
    if OVERALL not in values.tables:
        return tasks
    # Otherwise only tasks with more is better can be part of it.
    better = not values.any_scale or all(column.higher_is_better for column in tasks)
    return (MatrixColumn(task=OVERALL, domain="", chance=0.0, higher_is_better=better), *tasks)


def _higher(values: _Values, task: str) -> bool:
    return values.runs[0].checkpoints[0].tasks[task].higher_is_better


def _cells(values: _Values, names: Mapping[Cell, str]) -> dict[Key, MatrixCell]:
    cells: dict[Key, MatrixCell] = {}
    counted = {one.task: [one] for one in values.tasks}
    counted[OVERALL] = overall_tasks(values.tasks, any_scale=values.any_scale)
    grouped = values.grouped
    for column, tables in values.tables.items():
        tasks = counted[column]
        limits = overall_limits(tasks) if column == OVERALL else tasks[0].limits
        for cell, name in names.items():
            models = [model for run in values.runs if run.cell == cell for model in run.checkpoints]
            cells[name, column] = mean_cell(tables, grouped, cell, counts_of(models, tasks)).within(limits)
    return cells


def _pairs(
    analysis: FactorialAnalysis,
    values: tuple[_Values, _Values],
    names: Mapping[Cell, str],
    parents: Mapping[Cell, Cell],
) -> tuple[PairDifference, ...]:
    """Return the difference of each pair; `values` are those of the arms, and those of arms and ancestors."""
    arms, whole = values
    of_design = {arm.cell for arm in analysis.arms}
    by_parent = {(row.task, row.spec.name): row.estimate for row in analysis.rows}
    pairs = []
    for source, only_arms in ((arms, True), (whole, False)):
        tables, grouped = source.tables, source.grouped
        for first, second in itertools.combinations(names, 2):
            if ({first, second} <= of_design) != only_arms:
                continue
            own = f"{names[second]}-{first[0]}" if parents.get(second) == first else ""
            for column in tables:
                estimate = by_parent.get((column, own))
                if estimate is None:
                    estimate = estimate_contrast(tables[column], grouped, {second: 1.0, first: -1.0})
                pairs.append(_pair((names[first], names[second]), column, estimate))
    return _corrected(pairs)


def _pair(arms: tuple[str, str], column: str, one: ContrastEstimate) -> PairDifference:
    return PairDifference(
        baseline=arms[0],
        arm=arms[1],
        task=column,
        difference=one.estimate,
        low=one.low,
        high=one.high,
        p=one.p,
        p_corrected=math.nan,
        detectable=one.mde,
    )


def _corrected(pairs: Sequence[PairDifference]) -> tuple[PairDifference, ...]:
    """Fill in p corrected for all pairs and tasks by Holm's method."""
    tested = [at for at, one in enumerate(pairs) if math.isfinite(one.p)]
    done = list(pairs)
    for at, p in zip(tested, holm([pairs[at].p for at in tested]), strict=True):
        done[at] = replace(done[at], p_corrected=float(p))
    return tuple(done)
