"""The values of all training runs of a study on each task, and the tables of items that make up the overall value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from harness.errors import RecordError
from harness.metric_ranges import range_of
from harness.records import TaskRun
from harness.reports.analysis.differences import CONTROLS
from harness.reports.analysis.item_units import labels_of
from harness.reports.analysis.pairing import Paired, mismatches, pair
from harness.reports.analysis.study import TrainingRun
from harness.reports.analysis.task_notes import TaskNote, joined
from harness.reports.analysis.value_limits import are_shares
from harness.stats import aggregate_weights
from harness.stats.factorial import ItemTable
from harness.stats.item_sets import ItemLabels, units_of_tasks
from harness.stats.limits import Limits

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskValues:
    """One task.

    Attributes:
        task: Its name.
        domain: Its domain.
        metric: As ``name,filter``.
        chance: Expected value of guessing.
        on_scale: Whether it can be part of a chance-centred overall value: from 0 to 1, more is better.
        values: One row per training run, the mean of its checkpoints; shape (runs, items).
        clusters: Label of each item; None without clusters.
        labels: What identifies the items.
        items_from: Name of the items, shared by variants of one benchmark.
        is_difference: Whether `values` are differences of two checkpoints, in which chance cancels.
        span: Smallest and largest possible value; None if they are not known to be limited.
        warnings: Why the runs would not be compared without ``--force``.
    """

    task: str
    domain: str
    metric: str
    chance: float
    on_scale: bool
    values: FloatArray
    clusters: npt.NDArray[np.str_] | None
    labels: ItemLabels
    items_from: str = ""
    is_difference: bool = False
    span: tuple[float, float] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def n_clusters(self) -> int:
        """Number of clusters; of items if there are none."""
        return self.values.shape[1] if self.clusters is None else len(set(self.clusters.tolist()))

    @property
    def table(self) -> ItemTable:
        """The values as they are."""
        return ItemTable(values=self.values, clusters=self.clusters, span=self.span)

    @property
    def centred(self) -> FloatArray:
        """The values on the scale where chance is 0 and 1 stays 1."""
        return (self.values - self._origin) / (1.0 - self.chance)

    @property
    def centred_span(self) -> tuple[float, float] | None:
        """`span` on that scale."""
        if self.span is None:
            return None
        low, high = ((end - self._origin) / (1.0 - self.chance) for end in self.span)
        return low, high

    @property
    def limits(self) -> Limits:
        """Smallest and largest possible mean, by the name of the metric; infinite if it is not known."""
        return range_of(self.metric.partition(",")[0]).limits(self.values)

    @property
    def centred_limits(self) -> Limits:
        """`limits` on the scale where chance is 0 and 1 stays 1."""
        low, high = ((end - self._origin) / (1.0 - self.chance) for end in self.limits)
        return low, high

    @property
    def _origin(self) -> float:
        return 0.0 if self.is_difference else self.chance


def collect(runs: Sequence[TrainingRun], notes: list[str], *, force: bool) -> list[TaskValues]:
    """Return the tasks that all runs have and that can be tested, by domain and name.

    Args:
        runs: The training runs, each with the checkpoints to average.
        notes: Remarks are added to it.
        force: Use runs even if their prompts differ; `TaskValues.warnings` then says why they do.

    Raises:
        RecordError: There is no such task, or the prompts differ (unless `force`).
    """
    models = [model for run in runs for model in run.checkpoints]
    common = [task for task in models[0].tasks if all(task in model.tasks for model in models)]
    others = sorted({task for model in models for task in model.tasks} - set(common))
    failed = sorted({task for model in models for task in model.unscored})
    if others or failed:
        notes.append(f"Left out, not scored in all runs of the design: {', '.join(dict.fromkeys(others + failed))}.")
    collected = []
    on_tasks: list[TaskNote] = []
    for task in common:
        by_name = {model.name: model.tasks[task] for model in models}
        paired = _paired(task, by_name, on_tasks, force=force)
        if paired is not None:
            values = _means(paired.values, [len(run.checkpoints) for run in runs])
            warnings = tuple(mismatches(by_name, paired)) if force else ()  # without it, `_paired` has refused them
            collected.append(replace(_task_values(by_name[models[0].name], paired, values), warnings=warnings))
    notes += joined(on_tasks)
    if not collected:
        listed = ", ".join(common) or "none in common"
        raise RecordError(
            f"the runs of the design share no task that can be tested ({listed}); evaluate all runs on the same tasks."
        )
    return sorted(collected, key=lambda one: (one.domain, one.task))


def _paired(task: str, runs: Mapping[str, TaskRun], notes: list[TaskNote], *, force: bool) -> Paired | None:
    listed = list(runs.values())
    if not all(run.is_mean for run in listed):
        alone = f"Left out: {task}, its value is not a mean over items."
        notes.append(TaskNote(task=task, alone=alone, shared="Left out, because the value is not a mean over items"))
        return None
    paired = pair(listed)
    if not force and (reasons := mismatches(runs, paired)):
        raise RecordError(
            f"{task}: the runs cannot be compared: {'; '.join(reasons)}. Evaluate all with the same settings, or "
            "give --force to compare them anyway."
        )
    if left_out := max(paired.left_out):
        counts, rest = f"up to {left_out}", "items of a run are left out, because another run did not answer them"
        notes.append(TaskNote(task=task, alone=f"{task}: {counts} {rest}.", shared=rest.capitalize(), counts=counts))
    n_clusters = paired.values.shape[1] if paired.clusters is None else len(set(paired.clusters.tolist()))
    if n_clusters < 2:
        why = "with fewer than two independent items or clusters in common"
        alone, shared = f"Left out: {task}, {why} ({n_clusters}).", f"Left out, {why}"
        notes.append(TaskNote(task=task, alone=alone, shared=shared, counts=f"{n_clusters}"))
        return None
    return paired


def _means(values: FloatArray, counts: Sequence[int]) -> FloatArray:
    """Average the checkpoints of each run: with counts 2 and 1, rows 0 and 1 become one, row 2 stays."""
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)
    sums: FloatArray = np.add.reduceat(values, starts, axis=0)
    return sums / np.asarray(counts, dtype=np.float64)[:, None]


def _task_values(run: TaskRun, paired: Paired, values: FloatArray) -> TaskValues:
    on_scale = run.higher_is_better and are_shares(run.metric, paired.values)
    return TaskValues(
        task=run.task,
        domain=run.domain,
        metric=run.metric,
        chance=run.chance,
        on_scale=on_scale,
        span=(0.0, 1.0) if on_scale else None,
        values=values,
        clusters=paired.clusters,
        labels=labels_of(paired),
        items_from=run.items_from,
    )


def difference_span(one: tuple[float, float] | None, other: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the span of one value minus another."""
    return None if one is None or other is None else (one[0] - other[1], one[1] - other[0])


def overall_tasks(tasks: Sequence[TaskValues], *, any_scale: bool = False) -> list[TaskValues]:
    """Return the tasks that count in the overall value; control domains only if there is no reasoning domain.

    Args:
        tasks: All tasks.
        any_scale: All tasks have one metric that need not lie between 0 and 1, such as a log-likelihood.
    """
    usable = [one for one in tasks if one.on_scale or any_scale]
    return [one for one in usable if one.domain not in CONTROLS] or usable


def overall_tables(tasks: Sequence[TaskValues], *, any_scale: bool = False) -> list[ItemTable]:
    """Return the tables whose sum is the overall value: the chance-centred macro mean over domains.

    Tasks over the same items, such as two templates or languages, count as one, and their tables share an item set.

    Args:
        tasks: All tasks.
        any_scale: All tasks have one metric that need not lie between 0 and 1, such as a log-likelihood.

    Returns:
        One table per task, or per group of tasks with the same items; empty if no task can be part of the overall.
    """
    usable = overall_tasks(tasks, any_scale=any_scale)
    if not usable:
        return []
    sets = _item_sets(usable)
    weights = aggregate_weights([one.domain for one in usable], [0.0] * len(usable), sets)
    units = units_of_tasks(sets, [one.labels for one in usable])
    tables: dict[tuple[object, ...], list[ItemTable]] = {}
    for one, own, weight, name in zip(usable, units, weights, sets, strict=True):
        table = ItemTable(values=one.centred, clusters=own, weight=float(weight), item_set=name, span=one.centred_span)
        key = () if own is None else tuple(sorted(own.tolist()))
        tables.setdefault((name, *key), []).append(table)
    return [_average(members) for members in tables.values()]


def overall_limits(tasks: Sequence[TaskValues]) -> Limits:
    """Return the smallest and the largest possible mean over tasks, chance-centred."""
    limits = [one.centred_limits for one in tasks]
    return min(low for low, _ in limits), max(high for _, high in limits)


def _average(members: Sequence[ItemTable]) -> ItemTable:
    """Average tables with the same units of the same sizes: only the sum of each unit counts, so nothing is lost.

    Example: units 0 1 2 and 2 0 1 are put in the order 0 1 2, and the values are averaged.
    """
    if len(members) == 1:
        return members[0]
    units = [np.asarray(one.clusters) for one in members]
    ordered = [one.values[:, np.argsort(own, kind="stable")] for one, own in zip(members, units, strict=True)]
    weights = [one.weight for one in members]
    spans = [one.span for one in members if one.span is not None]
    whole = len(spans) == len(members)
    return replace(
        members[0],
        values=np.average(ordered, axis=0, weights=weights),
        clusters=np.sort(units[0]),
        weight=sum(weights),
        span=(min(low for low, _ in spans), max(high for _, high in spans)) if whole else None,
    )


def _item_sets(tasks: Sequence[TaskValues]) -> list[str]:
    """Return the name of each task's items; tasks with the same documents have the same name."""
    by_docs: dict[tuple[str, ...], str] = {}
    return [by_docs.setdefault(tuple(sorted(map(str, one.labels.docs))), one.items_from or one.task) for one in tasks]
