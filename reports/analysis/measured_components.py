"""Variance components of the tasks of an earlier study, for `harness power --from`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from harness.errors import InputError
from harness.reports.analysis.contrasts import is_two_by_two, main_factors
from harness.reports.analysis.differences import CONTROLS
from harness.reports.analysis.plan import Measured, TaskPlan
from harness.reports.analysis.study import Study, TrainingRun
from harness.reports.analysis.task_values import collect
from harness.stats.planning import PlannedTask, estimate_components

FEWEST = 2


def measured_tasks(study: Study, notes: list[str], *, force: bool = False) -> Measured:
    """Return the tasks of a 2 x 2 study with their size and measured components.

    Only pre-training runs that were tuned at both levels are used.

    Raises:
        InputError: The study is no 2 x 2, or has fewer than two complete pre-training runs per level.
        RecordError: Its runs share no task.
    """
    main = main_factors(study.factors)
    if not is_two_by_two(study.factors):
        raise InputError("--from: the earlier study has no two main factors of two levels; give a 2 x 2.")
    runs = [TrainingRun(cell=r.cell, plot=r.plot, checkpoints=r.checkpoints[-1:]) for r in study.runs]
    order = _complete(runs, [list(study.factors).index(name) for name in main], study.factors, main)
    tasks = collect(runs, notes, force=force)
    usable = [one for one in tasks if one.on_scale]
    usable = [one for one in usable if one.domain not in CONTROLS] or usable
    if not usable:
        raise InputError("--from: no task of the earlier study is on a scale from 0 to 1; give other runs.")
    measured = {}
    for one in usable:
        components, correlation = estimate_components(one.values[order], one.clusters)
        planned = PlannedTask(
            items=one.values.shape[1], clusters=one.n_clusters, correlation=correlation, components=components
        )
        measured[one.task] = TaskPlan(planned=planned, chance=one.chance, domain=one.domain)
    notes.append(f"Components are measured with {order.shape[2]} pre-training runs per level, so they are uncertain.")
    return Measured(tasks=measured, factors=main)


def _complete(
    runs: Sequence[TrainingRun], at: Sequence[int], factors: Mapping[str, Sequence[str]], main: Sequence[str]
) -> npt.NDArray[np.intp]:
    """Return the rows of the runs, shape (2, 2, S): by pre-training level, tuning level, pre-training run."""
    by_level = []
    for level in factors[main[0]]:
        plots: dict[str, dict[str, int]] = {}
        for row, run in enumerate(runs):
            if run.cell[at[0]] == level:
                plots.setdefault(run.plot, {}).setdefault(run.cell[at[1]], row)
        complete = [[rows[t] for t in factors[main[1]]] for rows in plots.values() if len(rows) == 2]
        by_level.append(complete)
    seeds = min(map(len, by_level))
    if seeds < FEWEST:
        raise InputError(
            f"--from: {seeds} pre-training runs of some level were tuned at both levels of {main[1]}; the scatter of "
            f"runs needs {FEWEST} or more per level. Give more runs, or name their parents in a design file."
        )
    return np.array([[[rows[t] for rows in level[:seeds]] for t in (0, 1)] for level in by_level], dtype=np.intp)
