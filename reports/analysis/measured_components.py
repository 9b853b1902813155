"""Variance components of the tasks of an earlier study, for `harness power --from`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from harness.errors import InputError
from harness.reports.analysis.comparability import forced_caveats
from harness.reports.analysis.contrasts import is_two_by_two, main_factors
from harness.reports.analysis.counting import counted
from harness.reports.analysis.differences import CONTROLS
from harness.reports.analysis.plan import MEASURED, Measured, TaskPlan
from harness.reports.analysis.study import Study, TrainingRun
from harness.reports.analysis.task_values import collect
from harness.stats.planning import PlannedTask, pooled_components

FEWEST = 2


def measured_tasks(study: Study, notes: list[str], *, force: bool = False) -> Measured:
    """Return the tasks of a 2 x 2 study with their size and measured components.

    Only pre-training runs that were tuned at both levels are used. With further factors, such as model size, the
    components are measured at each combination of their levels with two such runs or more, and averaged.

    Raises:
        InputError: The study is no 2 x 2, or nowhere has two complete pre-training runs per level.
        RecordError: Its runs share no task.
    """
    main = main_factors(study.factors)
    if not is_two_by_two(study.factors):
        raise InputError("--from: the earlier study has no two main factors of two levels; give a 2 x 2.")
    runs = [TrainingRun(cell=r.cell, plot=r.plot, checkpoints=r.checkpoints[-1:]) for r in study.runs]
    strata = _complete_strata(runs, study.factors, main)
    tasks = collect(runs, notes, force=force)
    notes += forced_caveats([(one.task, one.warnings) for one in tasks], "used")
    usable = [one for one in tasks if one.on_scale]
    usable = [one for one in usable if one.domain not in CONTROLS] or usable
    if not usable:
        raise InputError("--from: no task of the earlier study is on a scale from 0 to 1; give other runs.")
    measured = {}
    for one in usable:
        components, correlation = pooled_components([one.values[order] for order in strata], one.clusters)
        planned = PlannedTask(
            items=one.values.shape[1],
            clusters=one.n_clusters,
            correlation=correlation,
            components=components,
            items_from=one.items_from or one.task,
        )
        measured[one.task] = TaskPlan(planned=planned, chance=one.chance, domain=one.domain, source=MEASURED)
    return Measured(tasks=measured, factors=main, seeds=_n_plots(runs, strata))


def _n_plots(runs: Sequence[TrainingRun], strata: Sequence[npt.NDArray[np.intp]]) -> int:
    """Return how many pre-training runs the level with fewer has, over all strata."""
    return min(len({runs[row].plot for order in strata for row in order[level].flat}) for level in (0, 1))


def _complete_strata(
    runs: Sequence[TrainingRun], factors: Mapping[str, Sequence[str]], main: Sequence[str]
) -> list[npt.NDArray[np.intp]]:
    """Return the rows of the complete runs at each combination of levels of the further factors that has enough.

    Each has shape (2, 2, S): by pre-training level, tuning level, pre-training run.
    """
    names = list(factors)
    at, further = [names.index(name) for name in main], [name for name in names if name not in main]
    strata: dict[tuple[str, ...], dict[int, TrainingRun]] = {}
    for row, run in enumerate(runs):
        levels = tuple(run.cell[names.index(name)] for name in further)
        strata.setdefault(levels, {})[row] = run
    complete = [_complete(stratum, at, [factors[name] for name in main]) for stratum in strata.values()]
    enough = [order for order in complete if order.shape[2] >= FEWEST]
    if not enough:
        most = max(order.shape[2] for order in complete)
        where = f" at one level of {', '.join(further)}" if further else ""
        raise InputError(
            f"--from: some level has {counted(most, 'pre-training run')} tuned at both levels of {main[1]}{where}; the "
            f"scatter of runs needs {FEWEST} or more per level. Give more runs, or name their parents in a design file."
        )
    return enough


def _complete(
    runs: Mapping[int, TrainingRun], at: Sequence[int], levels: Sequence[Sequence[str]]
) -> npt.NDArray[np.intp]:
    """Return the rows of pre-training runs that were tuned at both levels, shape (2, 2, S).

    Args:
        runs: By row.
        at: The places of the two factors in a cell.
        levels: Their levels.
    """
    by_level = []
    for level in levels[0]:
        plots: dict[str, dict[str, int]] = {}
        for row, run in runs.items():
            if run.cell[at[0]] == level:
                plots.setdefault(run.plot, {}).setdefault(run.cell[at[1]], row)
        by_level.append([[rows[t] for t in levels[1]] for rows in plots.values() if len(rows) == 2])
    seeds = min(map(len, by_level))
    order = [[[rows[t] for rows in level[:seeds]] for t in (0, 1)] for level in by_level]
    return np.array(order, dtype=np.intp).reshape(2, 2, seeds)
