"""The clustered standard error of a group's own mean (``aggregate_metric_list``), computed as for tasks.

lm-eval's error assumes independent items. Here, items of one cluster are dependent, and so are variants of the same
items. The means are lm-eval's, weighted by size if the group asks for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.evaluation.scoring import Scores
from harness.evaluation.summary import item_values
from harness.stats.item_sets import covariance_of_means, units_of_tasks, weighted_variance

if TYPE_CHECKING:
    from lm_eval.api.task import Task

    from harness.suite.catalogue import LoadedTasks


def group_errors(loaded: LoadedTasks, scores: Scores) -> dict[str, dict[str, float]]:
    """Return the error of each group's means by group and ``metric,filter``; NaN if a value is not a mean over items.

    Args:
        loaded: The tasks and groups.
        scores: Their scores.
    """
    results = scores.results
    errors: dict[str, dict[str, float]] = {}
    for name, values in (results.get("groups") or {}).items():
        group = loaded.groups.get(name)
        if group is None:
            continue
        by_size = {one.metric: one.weight_by_size for one in group.aggregate_metric_list or ()}
        members = [task.task_name for task in group.get_all_tasks()]
        for key in values:
            metric = key.partition(",")[0]
            if "," in key and metric in by_size:
                tasks = {task: loaded.tasks[task] for task in members if key in results["results"].get(task, {})}
                errors.setdefault(name, {})[key] = _error(tasks, key, scores, by_size=by_size[metric])
    return errors


def _error(tasks: Mapping[str, Task], key: str, scores: Scores, *, by_size: bool) -> float:
    results = scores.results
    items = [item_values(name, task, scores, key) for name, task in tasks.items()]
    known = [one for one in items if one is not None]
    if not known or len(known) < len(items):
        return math.nan
    sizes: Sequence[float] = [results["results"][name].get("sample_len", 0) if by_size else 1.0 for name in tasks]
    weights = np.array(sizes, dtype=np.float64) / sum(sizes)
    sets = [str((task.get_config("metadata") or {}).get("items_from") or name) for name, task in tasks.items()]
    units = units_of_tasks(sets, [one.labels for one in known])
    covariance = covariance_of_means([np.array(one.values, dtype=np.float64) for one in known], units, sets)
    return math.sqrt(weighted_variance(covariance, weights))
