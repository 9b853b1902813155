"""The plan of a study for `harness power`: its factors, seeds and tasks, from a file and from flags.

    factors: {pretrain: [text, code], tune: [plain, code]}   # the first is the pre-training factor
    seeds: 3                                                 # pre-training runs per level, each tuned both ways
    effect: 3                                                # a true effect in points, optional
    tasks:
      logic: {items: 22}
      legal: {items: 1000, clusters: 200, correlation: 0.1, chance: 0.25, domain: legal}
    components: {residual: 0.13, plot: 0.0001}               # optional; also inside a task

The design file of `harness compare --design` will do too: its runs say how many seeds there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from harness.errors import InputError, did_you_mean
from harness.reports.analysis.contrasts import INTERACTION
from harness.reports.analysis.design import read_factors, read_main, read_yaml
from harness.stats import aggregate_weights
from harness.stats.planning import FIRST, SECOND, Components, PlannedTask

KEYS = ("factors", "main", "seeds", "effect", "tasks", "components", "runs", "parents", "cot")
TASK_KEYS = ("items", "clusters", "correlation", "chance", "domain", "components")
CORRELATION = 0.1
"""Assumed correlation of items within a cluster, if a plan gives clusters and no correlation."""


@dataclass(frozen=True, kw_only=True)
class TaskPlan:
    """One task.

    Attributes:
        planned: Its size and components, with weight 1.
        chance: Expected value of guessing.
        domain: Its domain; tasks without one are domains of their own.
    """

    planned: PlannedTask
    chance: float
    domain: str


@dataclass(frozen=True, kw_only=True)
class StudyPlan:
    """The whole plan.

    Attributes:
        contrasts: Kind of contrast by name: both main effects by factor name, and the interaction.
        seeds: Pre-training runs per level.
        effect: True effect in points; None if only the detectable effect is wanted.
        tasks: By name.
        source: Where the components come from, in words.
    """

    contrasts: Mapping[str, str]
    seeds: int
    effect: float | None
    tasks: Mapping[str, TaskPlan]
    source: str

    @property
    def overall(self) -> list[PlannedTask]:
        """The tasks with their weights in the chance-centred mean over domains."""
        weights = aggregate_weights(
            [one.domain for one in self.tasks.values()], [t.chance for t in self.tasks.values()]
        )
        return [replace(one.planned, weight=float(w)) for one, w in zip(self.tasks.values(), weights, strict=True)]


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
    """

    tasks: Mapping[str, TaskPlan]
    factors: tuple[str, ...]


def read_plan(path: Path, flags: PlanFlags, measured: Measured | None = None) -> StudyPlan:
    """Read a plan.

    Args:
        path: The file.
        flags: Replace what the file says.
        measured: Earlier runs; None for the default components.

    Raises:
        InputError: The file or a flag is wrong, or says too little.
    """
    content = read_yaml(path, "a plan with factors, seeds and tasks, see docs/statistics.md")
    _check_keys(str(path), content, KEYS)
    factors = read_factors(path, content)
    main = read_main(path, content, factors)
    if [len(factors[name]) for name in main] != [2, 2]:
        raise InputError(
            f"{path}: factors {', '.join(main)}: power needs two factors of two levels each; name them in main."
        )
    if measured is not None and set(main) == set(measured.factors):
        main = measured.factors
    seeds = flags.seeds if flags.seeds is not None else content.get("seeds", _seeds_of_runs(content, main))
    effect = flags.effect if flags.effect is not None else content.get("effect")
    return StudyPlan(
        contrasts={main[0]: FIRST, main[1]: SECOND, INTERACTION: INTERACTION},
        seeds=_whole("seeds", seeds, 2, "the pre-training runs of each level, 2 or more"),
        effect=None if effect is None else _number("effect", effect, 1e-9, 100.0, "points above 0, such as 3"),
        tasks=_tasks(path, content, flags, measured.tasks if measured else None),
        source="measured in the runs of --from" if measured else "assumed; --from RUNS measures them in earlier runs",
    )


def _seeds_of_runs(content: Mapping[str, Any], main: Sequence[str]) -> int | None:
    """Return the fewest runs of any cell in a design file; None without runs."""
    runs = [run for run in content.get("runs") or () if isinstance(run, dict)]
    counts: dict[tuple[str, ...], int] = {}
    for run in runs:
        cell = tuple(str(run.get(name)) for name in main)
        counts[cell] = counts.get(cell, 0) + 1
    return min(counts.values()) if counts else None


def _tasks(
    path: Path, content: Mapping[str, Any], flags: PlanFlags, measured: Mapping[str, TaskPlan] | None
) -> dict[str, TaskPlan]:
    common = _components(f"{path}: components", content.get("components"), Components())
    entries = content.get("tasks")
    if entries is None and measured:
        return {name: _resized(one, flags) for name, one in measured.items()}
    if entries is None and flags.items is not None:
        entries = {"task": {}}
    if not isinstance(entries, dict) or not entries:
        raise InputError(f"{path}: no tasks; give tasks with their items, or --items N, or --from RUNS.")
    tasks = {}
    for name, entry in entries.items():
        where = f"{path}: tasks.{name}"
        known = (measured or {}).get(str(name))
        tasks[str(name)] = _task(where, entry if entry is not None else {}, flags, (str(name), common, known))
    return tasks


def _resized(one: TaskPlan, flags: PlanFlags) -> TaskPlan:
    items = flags.items if flags.items is not None else one.planned.items
    size = one.planned.items / one.planned.clusters
    clusters = flags.clusters if flags.clusters is not None else max(1, round(items / size))
    return replace(one, planned=_checked("--items", replace(one.planned, items=items, clusters=clusters)))


def _task(where: str, entry: object, flags: PlanFlags, known: tuple[str, Components, TaskPlan | None]) -> TaskPlan:
    """Return one task; `known` holds its name, the components of all tasks, and the task as measured before."""
    if not isinstance(entry, dict):
        raise InputError(f"{where}: is {entry!r:.60}; give a mapping with items, such as {{items: 1000}}.")
    name, common, before = known
    _check_keys(where, entry, TASK_KEYS)
    items = flags.items if flags.items is not None else entry.get("items", before.planned.items if before else None)
    items = _whole(f"{where}.items", items, 2, "the number of items, 2 or more")
    size = before.planned.items / before.planned.clusters if before else 1.0
    clusters = flags.clusters if flags.clusters is not None else entry.get("clusters", max(1, round(items / size)))
    clusters = _whole(f"{where}.clusters", clusters, 2, "the number of independent clusters, 2 or more")
    correlation = entry.get("correlation", before.planned.correlation if before else CORRELATION)
    planned = PlannedTask(
        items=items,
        clusters=clusters,
        correlation=_number(f"{where}.correlation", correlation, 0.0, 1.0, "a number from 0 to 1"),
        components=_components(
            f"{where}.components", entry.get("components"), before.planned.components if before else common
        ),
    )
    chance = entry.get("chance", before.chance if before else 0.0)
    return TaskPlan(
        planned=_checked(where, planned),
        chance=_number(f"{where}.chance", chance, 0.0, 0.999, "the value of guessing, from 0 to below 1"),
        domain=str(entry.get("domain", before.domain if before else name)),
    )


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
