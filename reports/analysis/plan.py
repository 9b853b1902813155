"""The plan of a study for `harness power`: its factors, seeds and tasks, from a file and from flags.

    factors: {pretrain: [text, code], tune: [plain, code]}   # the first is that of pre-training, unless:
    pretraining: [pretrain]                                  # optional: these are; the others are of tuning
    seeds: 3                                                 # pre-training runs per level, each tuned both ways
    effect: 3                                                # a true effect in points, 3 is 0.03; optional
    tasks:
      logic: {items: 22}
      legal: {items: 1000, clusters: 200, correlation: 0.1, chance: 0.25, domain: legal}
      legal_cloze: {items: 1000, chance: 0.25, domain: legal, items_from: legal}   # a variant: the same items
    components: {residual: 0.13, plot: 0.0001}               # optional; also inside a task

The design file of `harness compare --design` will do too: its runs say how many seeds there are. Runs without a parent
count as pre-training runs of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from harness.errors import InputError, did_you_mean
from harness.reports.analysis.design import DesignRun, check_keys, read_factors, read_main, read_runs
from harness.reports.analysis.planned_contrasts import planned_contrasts
from harness.reports.analysis.yaml_file import Place, read_yaml
from harness.stats import aggregate_weights
from harness.stats.planning import PlannedTask, varies
from harness.stats.shapes import Components, Shape

KEYS = ("factors", "main", "pretraining", "seeds", "effect", "tasks", "components", "runs", "parents", "cot")
TASK_KEYS = ("items", "clusters", "correlation", "chance", "domain", "items_from", "components")
CORRELATION = 0.1
"""Assumed correlation of items within a cluster, if a plan gives clusters and no correlation."""
MEASURED, ASSUMED = "measured", "assumed"


@dataclass(frozen=True, kw_only=True)
class TaskPlan:
    """One task.

    Attributes:
        planned: Its size and components, with weight 1.
        chance: Expected value of guessing.
        domain: Its domain; tasks without one are domains of their own.
        source: Where its components come from: ``measured``, ``assumed``, or ``measured, except`` those in the plan.
    """

    planned: PlannedTask
    chance: float
    domain: str
    source: str = ASSUMED


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """The whole plan.

    Attributes:
        contrasts: By name; those of a 2 x 2 by their kind, others by their shape.
        main: Levels by main factor.
        seeds: Pre-training runs per level.
        effect: True effect in points, hundredths of accuracy; None if only the detectable effect is wanted.
        tasks: By name.
        measured_seeds: Pre-training runs per level of the earlier runs; None without earlier runs.
        constant: Tasks without a plan: no item had different values in the earlier runs.
    """

    contrasts: Mapping[str, str | Shape]
    main: Mapping[str, Sequence[str]]
    seeds: int
    effect: float | None
    tasks: Mapping[str, TaskPlan]
    measured_seeds: int | None = None
    constant: Sequence[str] = ()

    @property
    def overall(self) -> list[PlannedTask]:
        """The tasks with their weights in the chance-centred mean over domains; variants share that of one task."""
        tasks = list(self.tasks.values())
        sets = [one.planned.items_from for one in tasks]
        weights = aggregate_weights([one.domain for one in tasks], [one.chance for one in tasks], sets)
        return [replace(one.planned, weight=float(w)) for one, w in zip(tasks, weights, strict=True)]


@dataclass(frozen=True, kw_only=True)
class PlanFlags:
    """What the user typed; each replaces what the file says.

    Attributes:
        items: Items of a single task, or of every task.
        clusters: Its clusters.
        seeds: Pre-training runs per level.
        effect: In points.
    """

    items: int | None = None
    clusters: int | None = None
    seeds: int | None = None
    effect: float | None = None


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What earlier runs say.

    Attributes:
        tasks: Their tasks, with size and components.
        factors: Their two factors, the pre-training factor first.
        seeds: Their pre-training runs per level.
    """

    tasks: Mapping[str, TaskPlan]
    factors: tuple[str, ...]
    seeds: int


def read_plan(path: Path, flags: PlanFlags, measured: Measured | None = None) -> StudyPlan:
    """Read a plan.

    Args:
        path: The file.
        flags: Replace what the file says.
        measured: Earlier runs; None for the default components.

    Raises:
        InputError: The file or a flag is wrong, or says too little.
    """
    place, content = read_yaml(path, "a plan with factors, seeds and tasks, see docs/statistics.md")
    check_keys(place, content, KEYS)
    factors = read_factors(place, content)
    main = read_main(place, content, factors)
    if measured is not None and set(main) == set(measured.factors):
        main = measured.factors
    runs = read_runs(place, content, factors) if "runs" in content else ()
    contrasts = planned_contrasts(factors, main, _pretraining(place, content, (factors, main), runs))
    counted = _seeds_of_runs(runs, factors, main) if runs else None
    where, seeds = _flag_or_field(place, "seeds", flags.seeds, content.get("seeds", counted))
    seeds = _whole(where, seeds, 2, "the pre-training runs of each level, 2 or more")
    where, effect = _flag_or_field(place, "effect", flags.effect, content.get("effect"))
    if effect is not None:
        effect = _number(where, effect, 1e-9, 100.0, "points above 0, such as 3, which is 0.03 of accuracy")
    tasks = _tasks(place, content, flags, measured.tasks if measured else None)
    constant = _constant(place / "tasks", contrasts, tasks)
    return StudyPlan(
        contrasts=contrasts,
        main={name: factors[name] for name in main},
        seeds=seeds,
        effect=effect,
        tasks={name: one for name, one in tasks.items() if name not in constant},
        measured_seeds=measured.seeds if measured else None,
        constant=constant,
    )


def _flag_or_field(place: Place, name: str, flag: float | None, field: Any) -> tuple[str, Any]:
    """Return a value, and where it stands: ``--seeds``, or file and line; a flag replaces what the file says."""
    return (str(place / name), field) if flag is None else (f"--{name}", flag)


def _constant(place: Place, contrasts: Mapping[str, str | Shape], tasks: Mapping[str, TaskPlan]) -> list[str]:
    """Return the measured tasks in which some contrast has no error at all.

    Raises:
        InputError: The file itself gives such components, or no other task is left.
    """
    constant = [
        name
        for name, one in tasks.items()
        if not all(varies(contrast, one.planned.components) for contrast in contrasts.values())
    ]
    given = next((name for name in constant if tasks[name].source != MEASURED), None)
    if given is not None:
        raise InputError(f"{place / given}: its components leave some contrast without error; give residual > 0.")
    if len(constant) == len(tasks):
        raise InputError(
            f"--from: no item of {', '.join(constant)} had different values in the earlier runs, so their scatter is "
            "unknown; give other runs, or components in the plan."
        )
    return constant


def _pretraining(
    place: Place,
    content: Mapping[str, Any],
    factors: tuple[Mapping[str, Sequence[str]], Sequence[str]],
    runs: Sequence[DesignRun],
) -> set[str]:
    """Return the factors of pre-training: those that the file names, or that never differ within a parent's runs.

    Without either, all but the second main factor. `factors` holds the levels by factor, and the main factors.
    """
    levels, main = factors
    named = content.get("pretraining")
    if named is not None:
        if not isinstance(named, list) or not all(isinstance(name, str) and name in levels for name in named):
            raise InputError(
                f"{place / 'pretraining'} is {named!r:.60}; give a list of factors of {', '.join(levels)}."
            )
        return set(named)
    cells: dict[str, list[tuple[str, ...]]] = {}
    for run in runs:
        if run.parent is not None:
            cells.setdefault(run.parent, []).append(run.cell)
    if len(cells) == 1:  # all from one checkpoint: the runs themselves are the units
        return set(levels)
    if cells:
        return {name for at, name in enumerate(levels) if all(len({c[at] for c in own}) == 1 for own in cells.values())}
    return set(levels) - set(main[1:])


def _seeds_of_runs(runs: Sequence[DesignRun], factors: Mapping[str, Sequence[str]], main: Sequence[str]) -> int:
    """Return the fewest pre-training runs behind any cell, at one level of each further factor.

    Several tunings of a parent, and several checkpoints (steps) of a run, are one pre-training run. Levels of further
    factors at which a cell of the main factors has no run are left out, as in the contrasts.
    """
    plots: dict[tuple[str, ...], set[object]] = {}
    for number, run in enumerate(runs):
        unnamed = number if run.step is None else f"seed {run.seed}"
        plots.setdefault(run.cell, set()).add(("parent", run.parent) if run.parent is not None else unnamed)
    strata: dict[tuple[str, ...], list[int]] = {}
    for cell, seeds in plots.items():
        others = tuple(level for name, level in zip(factors, cell, strict=True) if name not in main)
        strata.setdefault(others, []).append(len(seeds))
    cells = math.prod(len(factors[name]) for name in main)
    complete = [counts for counts in strata.values() if len(counts) == cells]
    return min(min(counts) for counts in complete or strata.values())


def _tasks(
    place: Place, content: Mapping[str, Any], flags: PlanFlags, measured: Mapping[str, TaskPlan] | None
) -> dict[str, TaskPlan]:
    common = _components(str(place / "components"), content.get("components"), Components())
    entries = content.get("tasks")
    if entries is None and measured:
        return {name: _resized(one, flags) for name, one in measured.items()}
    if entries is None and flags.items is not None:
        entries = {"task": {}}
    if entries and not isinstance(entries, dict):
        raise InputError(
            f"{place / 'tasks'} is {type(entries).__name__} {entries!r:.60}; give names with their items, such as "
            "tasks: {logic: {items: 1000}}."
        )
    if not entries:
        raise InputError(f"{place}: no tasks; give tasks with their items, or --items N, or --from RUNS.")
    tasks = {}
    for name, entry in entries.items():
        where = str(place / "tasks" / str(name))
        known = (measured or {}).get(str(name))
        tasks[str(name)] = _task(where, entry if entry is not None else {}, flags, (str(name), common, known))
    return tasks


def _resized(one: TaskPlan, flags: PlanFlags) -> TaskPlan:
    items = flags.items if flags.items is not None else one.planned.items
    clusters = flags.clusters if flags.clusters is not None else _clusters_of("--items", items, one.planned)
    items = _whole("--items", items, 2, "the number of items, 2 or more")
    clusters = _whole("--clusters", clusters, 2, "the number of independent clusters, 2 or more")
    return replace(one, planned=_checked("--items", replace(one.planned, items=items, clusters=clusters)))


def _clusters_of(where: str, items: int, before: PlannedTask | None) -> int:
    """Return the number of clusters of so many items, as large as those measured before; without them, of one item."""
    size = before.items / before.clusters if before else 1.0
    clusters = max(1, round(items / size))
    if clusters < 2 <= items:
        raise InputError(
            f"{where}: {items} items are one cluster of the size that the runs of --from have, {size:g} items; give "
            f"{math.ceil(1.5 * size)} items or more, or the number of clusters, 2 or more."
        )
    return clusters


def _task(where: str, entry: object, flags: PlanFlags, known: tuple[str, Components, TaskPlan | None]) -> TaskPlan:
    """Return one task; `known` holds its name, the components of all tasks, and the task as measured before."""
    if not isinstance(entry, dict):
        raise InputError(f"{where}: is {entry!r:.60}; give a mapping with items, such as {{items: 1000}}.")
    name, common, before = known
    _check_keys(where, entry, TASK_KEYS)
    items = flags.items if flags.items is not None else entry.get("items", before.planned.items if before else None)
    items = _whole(
        "--items" if flags.items is not None else f"{where}.items", items, 2, "the number of items, 2 or more"
    )
    clusters = flags.clusters if flags.clusters is not None else entry.get("clusters")
    clusters = _clusters_of(where, items, before.planned if before else None) if clusters is None else clusters
    clusters = _whole(
        "--clusters" if flags.clusters is not None else f"{where}.clusters",
        clusters,
        2,
        "the number of independent clusters, 2 or more",
    )
    correlation = entry.get("correlation", before.planned.correlation if before else CORRELATION)
    planned = PlannedTask(
        items=items,
        clusters=clusters,
        correlation=_number(f"{where}.correlation", correlation, 0.0, 1.0, "a number from 0 to 1"),
        components=_components(
            f"{where}.components", entry.get("components"), before.planned.components if before else common
        ),
        items_from=str(entry.get("items_from") or (before.planned.items_from if before else name)),
    )
    chance = entry.get("chance", before.chance if before else 0.0)
    return TaskPlan(
        planned=_checked(where, planned),
        chance=_number(f"{where}.chance", chance, 0.0, 0.999, "the value of guessing, from 0 to below 1"),
        domain=str(entry.get("domain", before.domain if before else name)),
        source=_source(entry) if before else ASSUMED,
    )


def _source(entry: Mapping[str, Any]) -> str:
    """Return the source of a measured task; what its entry gives replaces what was measured."""
    given = [*(entry.get("components") or {}), *(["correlation"] if entry.get("correlation") is not None else [])]
    return f"{MEASURED}, except {', '.join(given)}" if given else MEASURED


def _checked(where: str, planned: PlannedTask) -> PlannedTask:
    if planned.clusters > planned.items:
        raise InputError(f"{where}: {planned.clusters} clusters of {planned.items} items; give no more than items.")
    return planned


def _components(where: str, entry: object, start: Components) -> Components:
    if entry is None:
        return start
    names = [field.name for field in fields(Components)]
    if not isinstance(entry, dict):
        raise InputError(f"{where}: is {entry!r:.60}; give variances by name: {', '.join(names)}.")
    _check_keys(where, entry, names)
    read = {
        name: _number(f"{where}.{name}", value, 0.0, 1e6, "a variance of at least 0") for name, value in entry.items()
    }
    return replace(start, **read)


def _check_keys(where: str, content: Mapping[Any, Any], allowed: Sequence[str]) -> None:
    unknown = next((key for key in content if key not in allowed), None)
    if unknown is not None:
        hint = did_you_mean(str(unknown), allowed)
        raise InputError(f"{where}: {unknown!r:.40} is unknown; give only {', '.join(allowed)}.{hint}")


def _whole(where: str, value: object, least: int, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{where}: {'missing' if value is None else f'{value!r:.40}'}; give {what}.")
    return value


def _number(where: str, value: object, low: float, high: float, what: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise InputError(f"{where}: {value!r:.40}; give {what}.")
    return float(value)
