"""Analyse a factorial study: every contrast on every task and overall, with p-values corrected by family."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.checkpoints.lineage import contamination_warnings
from harness.records import ModelRecords
from harness.reports.analysis.chain_of_thought import cot_contrasts, cot_pairs
from harness.reports.analysis.checkpoints import last_of
from harness.reports.analysis.comparability import agreements_of, caveats_of, forced_caveats
from harness.reports.analysis.contrasts import (
    EXPLORATORY,
    PRIMARY,
    Cell,
    ContrastSpec,
    cell_label,
    design_contrasts,
)
from harness.reports.analysis.differences import ALPHA, CONTROLS, OVERALL
from harness.reports.analysis.stage_pairs import stage_differences
from harness.reports.analysis.study import Study, TrainingRun
from harness.reports.analysis.task_values import TaskValues, collect, overall_tables
from harness.stats.factorial import ContrastEstimate, ItemTable, Runs, estimate_contrast
from harness.stats.families import holm_over_sets
from harness.stats.levels import levels_p
from harness.stats.signal_noise import SignalNoise, signal_noise

SECONDARY = "secondary"
FAMILIES = (PRIMARY, SECONDARY, EXPLORATORY)
CONTROL = "control"


@dataclass(frozen=True, kw_only=True, eq=False)
class ContrastRow:
    """One contrast on one task or overall.

    Attributes:
        task: Name of the task, or ``overall``.
        domain: Domain of the task; empty for overall.
        spec: The contrast.
        family: ``primary``, ``secondary`` or ``exploratory``.
        estimate: Its numbers.
        items: Number of items.
        clusters: Number of independent clusters.
        runs: Training runs in its cells.
        p_dunnett: p corrected for the levels of its factor; None for other contrasts.
        p_corrected: Corrected within the family; None without p.
        mde_corrected: Smallest true effect found with 80% power at the level of Holm's first step; None without p.
    """

    task: str
    domain: str
    spec: ContrastSpec
    family: str
    estimate: ContrastEstimate
    items: int
    clusters: int
    runs: int
    p_dunnett: float | None = None
    p_corrected: float | None = None
    mde_corrected: float | None = None

    @property
    def significant(self) -> bool:
        """Whether the corrected p is at most 5%."""
        return self.p_corrected is not None and self.p_corrected <= ALPHA


@dataclass(frozen=True, kw_only=True)
class ArmRow:
    """One cell of the design.

    Attributes:
        name: Short name, such as NC.
        cell: Its level of each factor.
        runs: Training runs.
        plots: Pre-training runs that they were made from.
        mean: Chance-centred overall value; NaN if there is none.
    """

    name: str
    cell: Cell
    runs: int
    plots: int
    mean: float


@dataclass(frozen=True, kw_only=True, eq=False)
class FactorialAnalysis:
    """All results of a study.

    Attributes:
        study: The study.
        rows: Primary, then secondary, then exploratory.
        arms: The cells.
        signals: Signal and noise by task; empty unless runs have several checkpoints.
        last: How many checkpoints of each run are averaged.
        notes: Warnings and remarks.
        caveats: What is not comparable between the arms.
        agreements: How closely the training tokens of all runs agree.
        any_scale: Whether all tasks have one metric that need not lie between 0 and 1.
        tasks: The values of `runs`, by domain and name of the task.
        runs: The training runs, each with the checkpoints that are averaged.
    """

    study: Study
    rows: tuple[ContrastRow, ...]
    arms: tuple[ArmRow, ...]
    signals: Mapping[str, SignalNoise]
    last: int
    notes: tuple[str, ...]
    caveats: tuple[str, ...] = ()
    agreements: tuple[str, ...] = ()
    any_scale: bool = False
    tasks: tuple[TaskValues, ...] = ()
    runs: tuple[TrainingRun, ...] = ()


@dataclass(frozen=True, kw_only=True)
class AnalysisOptions:
    """What the user chose.

    Attributes:
        last: Average the last so many checkpoints of each run.
        force: Use runs even if their prompts differ.
        any_scale: All tasks have one metric that need not lie between 0 and 1.
    """

    last: int = 1
    force: bool = False
    any_scale: bool = False


def analyse(study: Study, options: AnalysisOptions, notes: Sequence[str] = ()) -> FactorialAnalysis:
    """Analyse a study.

    Raises:
        InputError: The design cannot be estimated, or a run has too few checkpoints.
        RecordError: The runs share no task, or their prompts differ (unless forced).
    """
    remarks = _warnings(study) + list(notes) + list(study.notes)
    specs = design_contrasts(study.factors, {run.cell for run in study.runs}, remarks)
    averaged = [replace(run, checkpoints=last_of(run.checkpoints, options.last)) for run in study.runs]
    tasks = collect(averaged, remarks, force=options.force)
    rows = _rows(tasks, averaged, specs, any_scale=options.any_scale)
    stages = stage_differences(study, averaged, remarks, force=options.force)
    rows += [] if stages is None else _rows(stages.tasks, stages.runs, stages.specs, any_scale=options.any_scale)
    rows += _cot_rows(study, averaged, tasks, specs, remarks)
    ordered = sorted(_corrected(rows), key=lambda row: (FAMILIES.index(row.family), row.task != OVERALL))
    return FactorialAnalysis(
        study=study,
        rows=tuple(ordered),
        arms=_arms(study, averaged, overall_tables(tasks, any_scale=options.any_scale)),
        signals=_signals(study, tasks, options),
        last=options.last,
        notes=tuple(dict.fromkeys(remarks)),
        caveats=(*_forced(tasks, [] if stages is None else stages.tasks), *caveats_of(*_models_by_arm(study))),
        agreements=agreements_of(list(_models_by_arm(study)[1].values())),
        any_scale=options.any_scale,
        tasks=tuple(tasks),
        runs=tuple(averaged),
    )


def _warnings(study: Study) -> list[str]:
    models = [model for run in study.runs for model in run.checkpoints]
    warnings = [text for model in models for text in contamination_warnings(model.name, model.lineage)]
    if study.unknown:
        warnings.append(
            f"The parents of {study.unknown} of {len(study.runs)} runs are unknown, so each counts as independent; "
            "runs made from one pre-training run are not. Name the parent of each run in the design file."
        )
    return warnings


def _forced(tasks: Sequence[TaskValues], stages: Sequence[TaskValues]) -> tuple[str, ...]:
    """Return what ``--force`` overruled; a stage and its parent are named only if the runs of the task agree."""
    own = [(one.task, one.warnings) for one in tasks]
    named = {task for task, warnings in own if warnings}
    return forced_caveats([*own, *((s.task, s.warnings) for s in stages if s.task not in named)], "compared")


def _models_by_arm(study: Study) -> tuple[dict[str, list[ModelRecords]], dict[str, list[ModelRecords]]]:
    """Return all checkpoints of each arm by its name, and the last one of each of its runs."""
    by_arm: dict[str, list[ModelRecords]] = {}
    last: dict[str, list[ModelRecords]] = {}
    for run in study.runs:
        arm = cell_label(run.cell, study.factors)
        by_arm.setdefault(arm, []).extend(run.checkpoints)
        last.setdefault(arm, []).append(run.checkpoints[-1])
    return by_arm, last


def _runs(runs: Sequence[TrainingRun]) -> Runs:
    return Runs(cells=[run.cell for run in runs], plots=[run.plot for run in runs])


def _rows(
    tasks: Sequence[TaskValues], runs: Sequence[TrainingRun], specs: Sequence[ContrastSpec], *, any_scale: bool
) -> list[ContrastRow]:
    rows = []
    tables = overall_tables(tasks, any_scale=any_scale)
    if tables:
        rows += _rows_of(OVERALL, "", (tables, _size(tables)), runs, specs)
    controls = _controls(tasks)
    for domain in controls:
        tables = overall_tables([one for one in tasks if one.domain == domain], any_scale=any_scale)
        if tables:
            rows += _rows_of(domain, domain, (tables, _size(tables)), runs, specs)
    for task in tasks:
        rows += _rows_of(task.task, task.domain, ([task.table], (task.values.shape[1], task.n_clusters)), runs, specs)
    # Control tasks show side effects; they do not take part in the study's question.
    return [replace(row, family=EXPLORATORY) if row.domain in controls else row for row in rows]


def _controls(tasks: Sequence[TaskValues]) -> list[str]:
    """Return the control domains, which are no part of the overall value; none if there are no others."""
    domains = dict.fromkeys(task.domain for task in tasks)
    controls = [name for name in domains if name in CONTROLS]
    return controls if len(controls) < len(domains) else []


def _size(tables: Sequence[ItemTable]) -> tuple[int, int]:
    """Return the items and clusters of all item sets; of variants of one set, those of the largest."""
    sizes: dict[str, tuple[int, int]] = {}
    for table in tables:
        own = (table.values.shape[1], _n_clusters(table))
        sizes[table.item_set] = max(own, sizes.get(table.item_set, own))
    return sum(items for items, _ in sizes.values()), sum(clusters for _, clusters in sizes.values())


def _n_clusters(table: ItemTable) -> int:
    return table.values.shape[1] if table.clusters is None else len(set(np.asarray(table.clusters).tolist()))


def _rows_of(
    task: str,
    domain: str,
    sized: tuple[Sequence[ItemTable], tuple[int, int]],
    runs: Sequence[TrainingRun],
    specs: Sequence[ContrastSpec],
) -> list[ContrastRow]:
    """Return the rows of one task, or of the overall value; `sized` holds its tables, items and clusters."""
    tables, (items, clusters) = sized
    rows = []
    for spec in specs:
        family = spec.kind if task == OVERALL or spec.kind != PRIMARY else SECONDARY
        rows.append(
            ContrastRow(
                task=task,
                domain=domain,
                spec=spec,
                family=family,
                estimate=estimate_contrast(tables, _runs(runs), spec.coefficients),
                items=items,
                clusters=clusters,
                runs=sum(run.cell in spec.coefficients for run in runs),
            )
        )
    return _with_dunnett(rows, tables, runs)


def _with_dunnett(
    rows: Sequence[ContrastRow], tables: Sequence[ItemTable], runs: Sequence[TrainingRun]
) -> list[ContrastRow]:
    done = list(rows)
    for factor in {row.spec.factor for row in rows if row.spec.factor}:
        at = [i for i, row in enumerate(rows) if row.spec.factor == factor and math.isfinite(row.estimate.p)]
        own = [rows[i] for i in at]
        p_values = levels_p(tables, _runs(runs), [row.spec.coefficients for row in own], [row.estimate for row in own])
        for i, p in zip(at, p_values, strict=True):
            done[i] = replace(done[i], p_dunnett=p)
    return done


def _cot_rows(
    study: Study,
    runs: Sequence[TrainingRun],
    tasks: Sequence[TaskValues],
    specs: Sequence[ContrastSpec],
    notes: list[str],
) -> list[ContrastRow]:
    pairs = cot_pairs(tasks, study.cot, notes)
    if not pairs:
        return []
    contrasts = cot_contrasts(specs, [run.cell for run in runs], study.factors)
    rows = []
    for pair in pairs:
        sized = ([pair.raw.table], (pair.raw.values.shape[1], pair.raw.n_clusters))
        rows += _rows_of(pair.raw.task, pair.raw.domain, sized, runs, contrasts)
    if len(pairs) > 1 and all(pair.centred.on_scale for pair in pairs):
        tables = overall_tables([pair.centred for pair in pairs])
        rows += _rows_of(OVERALL, "", (tables, _size(tables)), runs, contrasts)
    return rows


def _corrected(rows: Sequence[ContrastRow]) -> list[ContrastRow]:
    """Fill in the corrected p of each family: Holm; sets of levels are corrected by Dunnett first.

    The corrected detectable effect is at 5% / number of sets / number of tests in the own set.
    """
    done = list(rows)
    for family in FAMILIES:
        sets: dict[tuple[str, str], list[int]] = {}
        for i, row in enumerate(rows):
            if row.family == family and math.isfinite(row.estimate.p):
                sets.setdefault((row.task, row.spec.factor or f"contrast {i}"), []).append(i)
        members = list(sets.values())
        p_sets = [[_p_in_set(rows[i]) for i in at] for at in members]
        for at, corrected in zip(members, holm_over_sets(p_sets), strict=True):
            for i, p in zip(at, corrected, strict=True):
                detectable = rows[i].estimate.mde_corrected(len(members) * len(at))
                done[i] = replace(done[i], p_corrected=p, mde_corrected=detectable)
    return done


def _p_in_set(row: ContrastRow) -> float:
    return row.estimate.p if row.p_dunnett is None else row.p_dunnett


def _arms(study: Study, runs: Sequence[TrainingRun], tables: Sequence[ItemTable]) -> tuple[ArmRow, ...]:
    means = np.sum([table.weight * table.values.mean(axis=1) for table in tables], axis=0) if tables else None
    arms = []
    for cell in sorted({run.cell for run in runs}, key=lambda c: _order(c, study.factors)):
        at = [i for i, run in enumerate(runs) if run.cell == cell]
        arms.append(
            ArmRow(
                name=cell_label(cell, study.factors),
                cell=cell,
                runs=len(at),
                plots=len({runs[i].plot for i in at}),
                mean=math.nan if means is None else float(means[at].mean()),
            )
        )
    return tuple(arms)


def _order(cell: Cell, factors: Mapping[str, Sequence[str]]) -> tuple[int, ...]:
    return tuple(levels.index(level) for level, levels in zip(cell, factors.values(), strict=True))


def _signals(study: Study, tasks: Sequence[TaskValues], options: AnalysisOptions) -> dict[str, SignalNoise]:
    """Return signal and noise of each task, if at least one run has three checkpoints."""
    several = [run for run in study.runs if len(run.checkpoints) >= 3]
    if not several or len(study.runs) < 2:
        return {}
    signals = {}
    every = collect([TrainingRun(cell=("",), plot=model.name, checkpoints=(model,))
                     for run in several for model in run.checkpoints], [], force=options.force)  # fmt: skip
    counts = [len(run.checkpoints) for run in several]
    final = {task.task: task.values.mean(axis=1) for task in tasks}
    for task in every:
        if task.task in final:
            late = np.split(task.values.mean(axis=1), np.cumsum(counts)[:-1])
            signals[task.task] = signal_noise(final[task.task], late)
    return signals
