"""Means by domain and overall with their intervals: one point a model. What is averaged is `leaderboard`'s."""

from __future__ import annotations

from dataclasses import dataclass

from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.leaderboard import Leaderboard, RankedTask
from harness.stats.combining import Estimate, combine_intervals


@dataclass(frozen=True, kw_only=True)
class DomainEstimates:
    """A domain's values.

    Attributes:
        domain: Its name.
        tasks: Names of its tasks.
        chance: Mean of its tasks' chance.
        points: By model, best model first; values as they are, not centred.
    """

    domain: str
    tasks: tuple[str, ...]
    chance: float
    points: dict[str, Estimate]


@dataclass(frozen=True, kw_only=True)
class BoardEstimates:
    """A leaderboard's values with intervals.

    Attributes:
        overall: Chance-centred mean over domains, by model, best first.
        domains: The domains.
    """

    overall: dict[str, Estimate]
    domains: tuple[DomainEstimates, ...]


def board_estimates(board: Leaderboard, intervals: IntervalCache) -> BoardEstimates:
    """Return every model's means on the items that all models answered."""
    row_of = {model.name: row for row, model in enumerate(board.models)}
    by_task = {task.task: [_point(task, row, intervals) for row in range(len(board.models))] for task in board.tasks}
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
                points={
                    name: combine_intervals([by_task[task.task][row_of[name]] for task in members]) for name in names
                },
            )
        )
        if members[0].counted:
            for name in names:
                centred = [by_task[task.task][row_of[name]].centred(task.chance) for task in members]
                overall[name].append(combine_intervals(centred))
    return BoardEstimates(overall={name: combine_intervals(overall[name]) for name in names}, domains=tuple(domains))


def _point(task: RankedTask, row: int, intervals: IntervalCache) -> Estimate:
    values = task.paired.values[row]
    ends = intervals.interval(values, task.paired.clusters)
    return Estimate(value=float(values.mean()), low=ends.low, high=ends.high)
