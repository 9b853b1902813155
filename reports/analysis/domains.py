"""Each model's mean by domain and overall, with its interval.

Over the tasks and items of the leaderboard, or over one model's tasks by a metric that is not ranked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.records import TaskRun
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.item_units import item_units
from harness.reports.analysis.leaderboard import Leaderboard, RankedTask
from harness.reports.analysis.pairing import FloatArray, pair
from harness.stats import aggregate_weights
from harness.stats.combining import Estimate, combine_correlated
from harness.stats.item_sets import Units, correlation_of, covariance_of_means


@dataclass(frozen=True, kw_only=True)
class DomainEstimates:
    """One domain's means.

    Attributes:
        domain: Its name.
        tasks: Names of its tasks.
        chance: Mean of the chance levels of its tasks.
        estimates: By model, best model first; not chance-centred.
    """

    domain: str
    tasks: tuple[str, ...]
    chance: float
    estimates: dict[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class BoardEstimates:
    """The means of all models of a leaderboard.

    Attributes:
        overall: Chance-centred mean over domains, by model, best first.
        domains: Means by domain.
    """

    overall: dict[str, Estimate]
    domains: tuple[DomainEstimates, ...]


def board_estimates(board: Leaderboard, intervals: IntervalCache) -> BoardEstimates:
    """Return the means of every model on the items that all models answered."""
    units = item_units([task.items_from for task in board.tasks], [task.paired for task in board.tasks])
    tasks = list(zip(board.tasks, units, strict=True))
    row_by_model = {model.name: row for row, model in enumerate(board.models)}
    names = [standing.model.name for standing in board.standings]

    def means(members: list[tuple[RankedTask, Units]], *, centred: bool) -> dict[str, Estimate]:
        return {name: _mean(members, row_by_model[name], intervals, centred=centred) for name in names}

    domains = []
    for domain in board.domains:
        members = [one for one in tasks if one[0].domain == domain]
        domains.append(
            DomainEstimates(
                domain=domain,
                tasks=tuple(task.task for task, _ in members),
                chance=sum(task.chance for task, _ in members) / len(members),
                estimates=means(members, centred=False),
            )
        )
    counted = [one for one in tasks if one[0].counted]
    return BoardEstimates(overall=means(counted, centred=True), domains=tuple(domains))


def overall_of_model(runs: Sequence[TaskRun], intervals: IntervalCache) -> Estimate:
    """Return the mean over domains of one model's tasks, all with one metric of any scale, such as bits per byte.

    It is the value whose differences `overall.overall` has with `any_scale`: accuracies are chance-centred, others not.

    Args:
        runs: Its tasks, at least one; the value of each is a mean over items.
        intervals: Intervals computed so far in this report.
    """
    paired = [pair([run]) for run in runs]
    sets = [run.items_from for run in runs]
    estimates = [
        _estimate(run.metric, one.values[0], one.clusters, intervals).centred(run.chance)
        for run, one in zip(runs, paired, strict=True)
    ]
    covariance = covariance_of_means([one.values[0] for one in paired], item_units(sets, paired), sets)
    return _combined(estimates, [run.domain for run in runs], sets, covariance)


def _mean(members: list[tuple[RankedTask, Units]], row: int, intervals: IntervalCache, *, centred: bool) -> Estimate:
    """Mean over domains of the mean over item sets of the mean over variants, for one model."""
    tasks, sets = [task for task, _ in members], [task.items_from for task, _ in members]
    values = [task.paired.values[row] for task in tasks]
    estimates = [
        _estimate(task.metric, own, task.paired.clusters, intervals).centred(task.chance if centred else 0.0)
        for task, own in zip(tasks, values, strict=True)
    ]
    covariance = covariance_of_means(values, [units for _, units in members], sets)
    return _combined(estimates, [task.domain for task in tasks], sets, covariance)


def _combined(
    estimates: Sequence[Estimate], domains: Sequence[str], sets: Sequence[str], covariance: FloatArray
) -> Estimate:
    weights = aggregate_weights(domains, [0.0] * len(domains), sets)
    return combine_correlated(estimates, weights, correlation_of(covariance, sets))


def _estimate(
    metric: str, values: FloatArray, clusters: npt.NDArray[np.str_] | None, intervals: IntervalCache
) -> Estimate:
    ends = intervals.interval(metric, values, clusters)
    return Estimate(value=float(values.mean()), low=ends.low, high=ends.high)
