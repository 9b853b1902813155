"""The values of all training runs of a study on each task, and the tables of items that make up the overall value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import RecordError
from harness.records import TaskRun
from harness.reports.analysis.differences import CONTROLS
from harness.reports.analysis.pairing import Paired, mismatches, pair
from harness.reports.analysis.study import TrainingRun
from harness.stats import aggregate_weights
from harness.stats.factorial import ItemTable

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
        docs: Digest of each item.
        items_from: Name of the items, shared by variants of one benchmark.
    """

    task: str
    domain: str
    metric: str
    chance: float
    on_scale: bool
    values: FloatArray
    clusters: npt.NDArray[np.str_] | None
    docs: tuple[bytes, ...]
    items_from: str = ""

    @property
    def n_clusters(self) -> int:
        """Number of clusters; of items if there are none."""
        return self.values.shape[1] if self.clusters is None else len(set(self.clusters.tolist()))

    @property
    def table(self) -> ItemTable:
        """The values as they are."""
        return ItemTable(values=self.values, clusters=self.clusters)

    @property
    def centred(self) -> FloatArray:
        """The values on the scale where chance is 0 and 1 stays 1."""
        return (self.values - self.chance) / (1.0 - self.chance)


def collect(runs: Sequence[TrainingRun], notes: list[str], *, force: bool) -> list[TaskValues]:
    """Return the tasks that all runs have and that can be tested, by domain and name.

    Args:
        runs: The training runs, each with the checkpoints to average.
        notes: Remarks are added to it.
        force: Use runs even if their prompts differ, and add a warning.

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
    for task in common:
        by_name = {model.name: model.tasks[task] for model in models}
        paired = _paired(task, by_name, notes, force=force)
        if paired is not None:
            values = _means(paired.values, [len(run.checkpoints) for run in runs])
            collected.append(_task_values(by_name[models[0].name], paired, values))
    if not collected:
        listed = ", ".join(common) or "none in common"
        raise RecordError(
            f"the runs of the design share no task that can be tested ({listed}); evaluate all runs on the same tasks."
        )
    return sorted(collected, key=lambda one: (one.domain, one.task))


def _paired(task: str, runs: Mapping[str, TaskRun], notes: list[str], *, force: bool) -> Paired | None:
    listed = list(runs.values())
    if not all(run.is_mean for run in listed):
        notes.append(f"Left out: {task}, its value is not a mean over items.")
        return None
    paired = pair(listed)
    if reasons := mismatches(runs, paired):
        if not force:
            raise RecordError(
                f"{task}: the runs cannot be compared: {'; '.join(reasons)}. Evaluate all with the same settings, or "
                "give --force to compare them anyway."
            )
        notes += [f"{task}: {reason}; compared anyway (--force)." for reason in reasons]
    if left_out := max(paired.left_out):
        notes.append(f"{task}: up to {left_out} items of a run are left out, because another run did not answer them.")
    n_clusters = paired.values.shape[1] if paired.clusters is None else len(set(paired.clusters.tolist()))
    if n_clusters < 2:
        notes.append(f"Left out: {task}, it has {n_clusters} independent items or clusters in common, not two.")
        return None
    return paired


def _means(values: FloatArray, counts: Sequence[int]) -> FloatArray:
    """Average the checkpoints of each run: with counts 2 and 1, rows 0 and 1 become one, row 2 stays."""
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.intp)
    sums: FloatArray = np.add.reduceat(values, starts, axis=0)
    return sums / np.asarray(counts, dtype=np.float64)[:, None]


def _task_values(run: TaskRun, paired: Paired, values: FloatArray) -> TaskValues:
    return TaskValues(
        task=run.task,
        domain=run.domain,
        metric=run.metric,
        chance=run.chance,
        on_scale=run.higher_is_better and bool(((paired.values >= 0.0) & (paired.values <= 1.0)).all()),
        values=values,
        clusters=paired.clusters,
        docs=paired.doc_hashes,
        items_from=run.items_from,
    )


def overall_tables(tasks: Sequence[TaskValues], *, any_scale: bool = False) -> list[ItemTable]:
    """Return the tables whose sum is the overall value: the chance-centred macro mean over domains.

    Control domains count only if there is no reasoning domain, as everywhere. Tasks over the same items, such as two
    templates, are averaged item by item first and count as one; so their items are not counted twice.

    Args:
        tasks: All tasks.
        any_scale: All tasks have one metric that need not lie between 0 and 1, such as a log-likelihood.

    Returns:
        One table per set of items; empty if no task can be part of the overall value.
    """
    usable = [one for one in tasks if one.on_scale or any_scale]
    usable = [one for one in usable if one.domain not in CONTROLS] or usable
    if not usable:
        return []
    # Variants such as another language have other documents; they name the task whose items they are, in its order.
    shared = {one.items_from for one in usable if one.items_from not in ("", one.task)}
    sets: dict[Any, list[TaskValues]] = {}
    for one in usable:
        sets.setdefault(one.items_from if one.items_from in shared else tuple(sorted(one.docs)), []).append(one)
    weights = aggregate_weights([members[0].domain for members in sets.values()], [0.0] * len(sets))
    return [
        ItemTable(values=values, clusters=clusters, weight=float(weight) / len(tables))
        for weight, tables in zip(weights, map(_averages, sets.values()), strict=True)
        for values, clusters in tables
    ]


def _averages(members: Sequence[TaskValues]) -> list[tuple[FloatArray, npt.NDArray[np.str_] | None]]:
    """Average tasks over the same items, in the order of the first task's items; return values and clusters.

    Items correspond by document, and those that some variant lacks, because a request failed, are left out of all.
    Variants without a common document correspond by position. If they have different numbers of items, it is unknown
    which correspond, and they are not averaged.
    """
    keys = [_numbered(one.docs) for one in members]
    common = set.intersection(*map(set, keys))
    if len(common) < 2 and len({len(own) for own in keys}) > 1:
        return [(one.centred, one.clusters) for one in members]
    columns = []
    for own in keys:
        position = {key: at for at, key in enumerate(own)}
        order = [position[key] for key in keys[0] if key in common] if common else range(len(own))
        columns.append(np.array(order, dtype=np.intp))
    total = np.sum([one.centred[:, order] for one, order in zip(members, columns, strict=True)], axis=0)
    first = members[0].clusters
    return [(total / len(members), None if first is None else first[columns[0]])]


def _numbered(docs: Sequence[bytes]) -> list[tuple[bytes, int]]:
    """Number the copies of each document from 0, so that two copies in one task are two items."""
    counts: Counter[bytes] = Counter()
    numbered = []
    for doc in docs:
        numbered.append((doc, counts[doc]))
        counts[doc] += 1
    return numbered
