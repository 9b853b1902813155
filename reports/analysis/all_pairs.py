"""The matrix of a comparison of models: the value of each arm, and the difference of every pair of arms.

The differences from the first arm are those of the comparison, with its correction. For all other questions, the reader
chooses two arms out of many, so p is corrected for every pair, as by ``harness compare --baseline B --chosen``.
"""

from __future__ import annotations

import itertools
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import numpy as np

from harness.errors import InputError, RecordError
from harness.records import ModelRecords, TaskRun
from harness.reports.analysis.comparison import PairOptions, difference_of_pair
from harness.reports.analysis.differences import OVERALL, Arm, Comparison, DomainDifference, TaskDifference
from harness.reports.analysis.domains import BoardEstimates, overall_of_model
from harness.reports.analysis.families import correct_all
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.matrix import Key, Matrix, MatrixArm, MatrixCell, MatrixColumn, PairDifference
from harness.reports.analysis.parents import chain_of
from harness.reports.analysis.study import TrainingRun, plots_of_models
from harness.reports.analysis.task_values import (
    TaskValues,
    collect,
    overall_limits,
    overall_tables,
    overall_tasks,
)
from harness.stats.combining import Estimate
from harness.stats.factorial import ItemTable, Runs, estimate_contrast

PARALLEL_FROM_PAIRS = 100
MOST_PAIRS = 2_000  # 64 arms: about a minute on one core; with more, arms are compared with the first only
# The pairs that worker processes test; they inherit it, because the items of many models are too large to be sent.
_shared: list[tuple[Arm, Arm]] = []

Tested = tuple[Sequence[TaskDifference], tuple[DomainDifference, ...]]


def comparison_matrix(
    comparison: Comparison, estimates: BoardEstimates | None, intervals: IntervalCache, *, force: bool
) -> Matrix:
    """Return the matrix of all arms.

    Args:
        comparison: Differences from the first arm.
        estimates: Overall values of single runs; None if they are not ranked, as by bits per byte.
        intervals: Intervals computed so far in this report.
        force: Compare runs even if their prompts differ.
    """
    pairs = _all_pairs(comparison, force=force)
    tested = [corrected for corrected in pairs.values() if corrected is not None]
    return replace(
        reference_matrix(comparison, estimates, intervals),
        pairs=tuple(one for (first, second), own in pairs.items() if own for one in _rows(first, second, own[0])),
        tests=max((tests for _, tests in tested), default=0),
    )


def reference_matrix(comparison: Comparison, estimates: BoardEstimates | None, intervals: IntervalCache) -> Matrix:
    """Return the matrix without the pairs of other arms than the first, which take long to test.

    Args:
        comparison: Differences from the first arm.
        estimates: Overall values of single runs; None if they are not ranked.
        intervals: Intervals computed so far.
    """
    return replace(differences_matrix(comparison), cells=_cells(comparison, estimates, intervals))


def differences_matrix(comparison: Comparison) -> Matrix:
    """Return the differences from the first arm; cells have failed and cut requests, but no values, which take long."""
    return Matrix(
        arms=tuple(
            MatrixArm(name=arm.name, runs=len(arm.models), parent=_parent(arm, comparison.arms))
            for arm in comparison.arms
        ),
        columns=_columns(comparison),
        cells=_failed_and_cut_cells(comparison),
        reference=comparison.arms[0].name,
        against_reference=tuple(
            one
            for arm in comparison.arms[1:]
            for one in _rows(
                comparison.arms[0].name,
                arm.name,
                ([d for d in comparison.differences if d.arm == arm.name], comparison.overall.get(arm.name, ())),
            )
        ),
        pairs=(),
        tests=0,
    )


def values_matrix(arms: Sequence[Arm], intervals: IntervalCache) -> Matrix:
    """Return the values without differences: a row per arm, a column per task that some run has scored.

    An arm of one run has its recorded values, one of several runs their means and an overall value too: over the tasks
    and items that all arms of several runs have in common.
    """
    runs = {run.task: run for arm in arms for model in arm.models for run in model.tasks.values()}
    columns = [
        MatrixColumn(task=run.task, domain=run.domain, chance=run.chance, higher_is_better=run.higher_is_better)
        for run in sorted(runs.values(), key=lambda run: (run.domain, run.task))
    ]
    cells = _overall_of_runs(arms, any_scale=False)
    for arm in arms:
        cells |= _of_arm(arm, intervals)
    if any(task == OVERALL for _, task in cells):
        columns.insert(0, MatrixColumn(task=OVERALL, domain="", chance=0.0, higher_is_better=True))
    return Matrix(
        arms=tuple(MatrixArm(name=arm.name, runs=len(arm.models)) for arm in arms),
        columns=tuple(columns),
        cells=cells,
        reference="",
        against_reference=(),
        pairs=(),
        tests=0,
    )


def with_values(compared: Matrix, values: Matrix) -> Matrix:
    """Append the arms and tasks that are not compared."""
    arms, tasks = {arm.name for arm in compared.arms}, {column.task for column in compared.columns}
    return replace(
        compared,
        arms=(*compared.arms, *(arm for arm in values.arms if arm.name not in arms)),
        columns=(*compared.columns, *(column for column in values.columns if column.task not in tasks)),
        cells={**values.cells, **compared.cells},
    )


def _all_pairs(comparison: Comparison, *, force: bool) -> dict[Key, tuple[Tested, int] | None]:
    """Return the corrected differences of each pair and the tests of the family; None for arms without common items."""
    first, *others = comparison.arms
    tested: dict[Key, Tested | None] = {
        (first.name, arm.name): (
            [one for one in comparison.differences if one.arm == arm.name],
            comparison.overall.get(arm.name, ()),
        )
        for arm in others
    }
    pairs = list(itertools.combinations(others, 2))
    if len(pairs) > MOST_PAIRS:
        pairs = []
    options = PairOptions(force=force, any_scale=comparison.any_scale)
    tested |= {(one.name, two.name): own for (one, two), own in zip(pairs, _tested(pairs, options), strict=True)}
    done: dict[Key, tuple[Tested, int] | None] = {}
    for (baseline, arm), own in tested.items():
        if own is None:
            done[baseline, arm] = None
            continue
        corrected = correct_all(own[0], {arm: own[1]}, "holm", among=len(comparison.arms))
        done[baseline, arm] = ((corrected.differences, corrected.overall[arm]), corrected.tests)
    return done


def _tested(pairs: Sequence[tuple[Arm, Arm]], options: PairOptions) -> Iterator[Tested | None]:
    """Test each pair, in order; in parallel if there are many."""
    workers = len(os.sched_getaffinity(0)) if sys.platform == "linux" else 1
    if len(pairs) < PARALLEL_FROM_PAIRS or workers < 2:
        yield from (_test(one, two, options) for one, two in pairs)
        return
    _shared[:] = pairs
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
            yield from pool.map(_test_shared, range(len(pairs)), itertools.repeat(options), chunksize=16)
    finally:
        _shared.clear()


def _test_shared(number: int, options: PairOptions) -> Tested | None:
    return _test(*_shared[number], options)


def _test(baseline: Arm, arm: Arm, options: PairOptions) -> Tested | None:
    """Return the differences of a pair; None if the two have no task in common, as each has with the first arm."""
    try:
        return difference_of_pair(baseline, arm, options)
    except (RecordError, InputError):
        return None


def _rows(baseline: str, arm: str, tested: Tested) -> list[PairDifference]:
    tasks, parts = tested
    rows = [_pair(baseline, arm, OVERALL, part) for part in parts if part.domain == OVERALL]
    return [*rows, *(_pair(baseline, arm, one.task, one) for one in tasks)]


def _pair(baseline: str, arm: str, task: str, one: TaskDifference | DomainDifference) -> PairDifference:
    low, high = one.interval or (math.nan, math.nan)
    return PairDifference(
        baseline=baseline,
        arm=arm,
        task=task,
        difference=one.difference,
        low=low,
        high=high,
        p=_number(one.p),
        p_corrected=_number(one.p_corrected),
        detectable=_number(one.detectable),
        gained=one.gained if isinstance(one, TaskDifference) else None,
        lost=one.lost if isinstance(one, TaskDifference) else None,
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _columns(comparison: Comparison) -> tuple[MatrixColumn, ...]:
    tasks = {one.task: one for one in comparison.differences}
    columns = [
        MatrixColumn(task=one.task, domain=one.domain, chance=one.chance, higher_is_better=one.higher_is_better)
        for one in sorted(tasks.values(), key=lambda one: (one.is_control, one.domain, one.task))
    ]
    if not any(comparison.overall.values()):
        return tuple(columns)
    counted = _in_overall(comparison)
    better = all(column.higher_is_better for column in columns if column.task in counted)
    return (MatrixColumn(task=OVERALL, domain="", chance=0.0, higher_is_better=better), *columns)


def _in_overall(comparison: Comparison) -> set[str]:
    """Return the tasks that count in the overall value of some arm."""
    parts = [part for own in comparison.overall.values() for part in own if part.domain == OVERALL]
    return {name for part in parts for name in part.names}


def _failed_and_cut_cells(comparison: Comparison) -> dict[Key, MatrixCell]:
    """Return a cell without a value for each arm, on each task and overall, with its failed and truncated requests."""
    parts = {one.task: {one.task} for one in comparison.differences} | {OVERALL: _in_overall(comparison)}
    cells = {}
    for arm in comparison.arms:
        for part, tasks in parts.items():
            runs = [run for model in arm.models for task, run in model.tasks.items() if task in tasks]
            failed, cut = failed_and_cut(runs)
            cells[arm.name, part] = MatrixCell(value=math.nan, low=math.nan, high=math.nan, failed=failed, cut=cut)
    return cells


def _cells(comparison: Comparison, estimates: BoardEstimates | None, intervals: IntervalCache) -> dict[Key, MatrixCell]:
    cells = _overall_of_runs(comparison.arms, any_scale=comparison.any_scale)
    names, counted = {one.task for one in comparison.differences}, _in_overall(comparison)
    for arm in comparison.arms:
        if len(arm.models) > 1:
            cells |= _of_runs(arm)
            continue
        for task, run in arm.models[0].tasks.items():
            if task in names and run.value is not None:
                cells[arm.name, task] = _of_run(run, run.value, intervals)
        one = estimates.overall.get(arm.name) if estimates is not None else _overall(arm, comparison, intervals)
        if one is not None:
            runs = [run for task, run in arm.models[0].tasks.items() if task in counted]
            failed, cut = failed_and_cut(runs)
            cells[arm.name, OVERALL] = MatrixCell(value=one.value, low=one.low, high=one.high, failed=failed, cut=cut)
    return cells


def _overall(arm: Arm, comparison: Comparison, intervals: IntervalCache) -> Estimate | None:
    """Return the mean over domains of a single run by one metric of any scale; None without one metric.

    Over the tasks that every difference overall has, so that the arms' values can be compared.
    """
    parts = [part for own in comparison.overall.values() for part in own if part.domain == OVERALL]
    if not comparison.any_scale or not parts:
        return None
    counted = set.intersection(*(set(part.names) for part in parts))
    runs = [run for task, run in arm.models[0].tasks.items() if task in counted]
    return overall_of_model(runs, intervals) if runs else None


def _of_arm(arm: Arm, intervals: IntervalCache) -> dict[Key, MatrixCell]:
    if len(arm.models) > 1:
        return _of_runs(arm)
    runs = arm.models[0].tasks.values()
    return {(arm.name, run.task): _of_run(run, run.value, intervals) for run in runs if run.value is not None}


def _of_run(run: TaskRun, value: float, intervals: IntervalCache) -> MatrixCell:
    low, high = math.nan, math.nan
    if run.is_mean:
        rows = run.items.rows(run.metric.partition(",")[2])
        answered = np.isfinite(run.headline_values)
        clusters = None if run.items.cluster is None else run.items.cluster[rows][answered]
        ends = intervals.interval(run.metric, run.headline_values[answered], clusters)
        low, high = ends.low, ends.high
    return MatrixCell(value=value, low=low, high=high, failed=run.failed, cut=run.truncated)


def _of_runs(arm: Arm) -> dict[Key, MatrixCell]:
    """Return the mean over the runs of an arm, by task, with the error of items and runs."""
    runs = _training_runs(arm)
    try:
        tasks = collect(runs, [], force=True)
    except RecordError:
        return {}
    return {
        (arm.name, one.task): mean_cell([one.table], _grouped(runs), ("",), counts_of(arm.models, [one])).within(
            one.limits
        )
        for one in tasks
    }


def _overall_of_runs(arms: Sequence[Arm], *, any_scale: bool) -> dict[Key, MatrixCell]:
    """Return the overall value of each arm of several runs, over the tasks and items that all these arms answered.

    As in the leaderboard: over other items, a difference could come from the items instead of the models.
    """
    several = [(arm, _training_runs(arm)) for arm in arms if len(arm.models) > 1]
    if not several:
        return {}
    try:
        tasks = collect([run for _, runs in several for run in runs], [], force=True)
    except RecordError:
        return {}
    counted = overall_tasks(tasks, any_scale=any_scale)
    cells: dict[Key, MatrixCell] = {}
    start = 0
    for arm, runs in several if counted else ():
        rows = slice(start, start + len(runs))  # each row of `values` is a run, in the order of the arms
        start = rows.stop
        own = [replace(one, values=one.values[rows]) for one in counted]
        tables = overall_tables(own, any_scale=any_scale)
        cell = mean_cell(tables, _grouped(runs), ("",), counts_of(arm.models, counted))
        cells[arm.name, OVERALL] = cell.within(overall_limits(own))
    return cells


def _training_runs(arm: Arm) -> list[TrainingRun]:
    plots = plots_of_models(arm.models)
    return [TrainingRun(cell=("",), plot=plots[m.name] or m.name, checkpoints=(m,)) for m in arm.models]


def _grouped(runs: Sequence[TrainingRun]) -> Runs:
    return Runs(cells=[run.cell for run in runs], plots=[run.plot for run in runs])


def mean_cell(tables: Sequence[ItemTable], runs: Runs, cell: tuple[str, ...], counts: tuple[int, int]) -> MatrixCell:
    """Return the mean of a cell of a design with its interval; `counts` are its failed and its truncated requests."""
    one = estimate_contrast(tables, runs, {cell: 1.0})
    return MatrixCell(value=one.estimate, low=one.low, high=one.high, failed=counts[0], cut=counts[1])


def counts_of(models: Sequence[ModelRecords], tasks: Sequence[TaskValues]) -> tuple[int, int]:
    """Return the failed and the truncated requests of models on some tasks."""
    return failed_and_cut([model.tasks[one.task] for model in models for one in tasks])


def failed_and_cut(runs: Sequence[TaskRun]) -> tuple[int, int]:
    """Return the failed and the truncated requests of runs."""
    return sum(run.failed for run in runs), sum(run.truncated for run in runs)


def _parent(arm: Arm, arms: Sequence[Arm]) -> str:
    """Return the arm that holds the nearest ancestors of all models of an arm; empty if there is none."""
    by_digest: Mapping[str, str] = {
        model.digest: other.name for other in arms if other is not arm for model in other.models if model.digest
    }
    nearest = set()
    for model in arm.models:
        chain = chain_of(model)
        above = [by_digest[one] for one in reversed(chain.digests[:-1]) if one in by_digest] if chain else []
        nearest.add(above[0] if above else "")
    return nearest.pop() if len(nearest) == 1 else ""
