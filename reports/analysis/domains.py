"""Each model's mean by domain and overall, with its interval, over the tasks and items of the leaderboard."""

from __future__ import annotations

from dataclasses import dataclass

from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.leaderboard import Leaderboard, RankedTask
from harness.stats.combining import Estimate, combine_intervals


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
    row_by_model = {model.name: row for row, model in enumerate(board.models)}
    by_task = {task.task: [_estimate(task, row, intervals) for row in range(len(board.models))] for task in board.tasks}
    names = [standing.model.name for standing in board.standings]
    domains = []
    overall: dict[str, list[Estimate]] = {name: [] for name in names}
    for domain in board.domains:
        members = [task for task in board.tasks if task.domain == domain]
        domains.append(
            DomainEstimates(
                domain=domain,
                tasks=tuple(task.task for task in members),
                chance=sum(task.chance for task in members) / len(members),
                estimates={
                    name: combine_intervals([by_task[task.task][row_by_model[name]] for task in members])
                    for name in names
                },
            )
        )
        if members[0].counted:
            for name in names:
                centred = [by_task[task.task][row_by_model[name]].centred(task.chance) for task in members]
                overall[name].append(combine_intervals(centred))
    return BoardEstimates(overall={name: combine_intervals(overall[name]) for name in names}, domains=tuple(domains))


def _estimate(task: RankedTask, row: int, intervals: IntervalCache) -> Estimate:
    values = task.paired.values[row]
    ends = intervals.interval(values, task.paired.clusters)
    return Estimate(value=float(values.mean()), low=ends.low, high=ends.high)
