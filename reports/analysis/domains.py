"""Each model's mean by domain and overall, with its interval, over the tasks and items of the leaderboard."""

from __future__ import annotations

from dataclasses import dataclass

from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.item_units import item_units
from harness.reports.analysis.leaderboard import Leaderboard, RankedTask
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


def _mean(members: list[tuple[RankedTask, Units]], row: int, intervals: IntervalCache, *, centred: bool) -> Estimate:
    """Mean over domains of the mean over item sets of the mean over variants, for one model."""
    tasks, sets = [task for task, _ in members], [task.items_from for task, _ in members]
    estimates = [_estimate(task, row, intervals) for task in tasks]
    if centred:
        estimates = [one.centred(task.chance) for one, task in zip(estimates, tasks, strict=True)]
    weights = aggregate_weights([task.domain for task in tasks], [0.0] * len(tasks), sets)
    values = [task.paired.values[row] for task in tasks]
    correlation = correlation_of(covariance_of_means(values, [units for _, units in members], sets), sets)
    return combine_correlated(estimates, weights, correlation)


def _estimate(task: RankedTask, row: int, intervals: IntervalCache) -> Estimate:
    values = task.paired.values[row]
    ends = intervals.interval(task.metric, values, task.paired.clusters)
    return Estimate(value=float(values.mean()), low=ends.low, high=ends.high)
