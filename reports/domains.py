"""Domain means with intervals, for charts: one point a model and domain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.stats import interval
from reports.leaderboard import Leaderboard, RankedTask


@dataclass(frozen=True, kw_only=True)
class Point:
    """A value and its 95% interval.

    Attributes:
        name: What it is of.
        value: The value.
        low: Lower end.
        high: Upper end.
    """

    name: str
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class DomainPoints:
    """A domain's chart.

    Attributes:
        domain: Its name.
        tasks: Names of its tasks.
        chance: Mean of its tasks' chance.
        points: One a model, in the order of the leaderboard.
    """

    domain: str
    tasks: tuple[str, ...]
    chance: float
    points: tuple[Point, ...]


def domain_points(board: Leaderboard) -> tuple[DomainPoints, ...]:
    """Return each domain's means on the items that every model answered.

    The interval of a mean of k tasks joins the tasks' own by MOVER (Zou and Donner 2008, Statistics in Medicine 27):
    mean - sqrt(sum (value - low)^2) / k, and likewise above. It keeps a width where a model has all or nothing right.
    """
    rows = {model.name: row for row, model in enumerate(board.models)}
    found = []
    for domain in board.domains:
        tasks = [task for task in board.tasks if task.domain == domain]
        names = [standing.model.name for standing in board.standings]
        points = [_mean(name, _task_points(tasks, rows[name])) for name in names]
        found.append(
            DomainPoints(
                domain=domain,
                tasks=tuple(task.task for task in tasks),
                chance=sum(task.chance for task in tasks) / len(tasks),
                points=tuple(points),
            )
        )
    return tuple(found)


def _task_points(tasks: Sequence[RankedTask], row: int) -> list[Point]:
    points = []
    for task in tasks:
        values = task.paired.values[row]
        found = interval(values, task.paired.clusters)
        points.append(Point(name=task.task, value=float(values.mean()), low=found.low, high=found.high))
    return points


def _mean(name: str, points: Sequence[Point]) -> Point:
    value = sum(point.value for point in points) / len(points)
    below = math.sqrt(sum((point.value - point.low) ** 2 for point in points)) / len(points)
    above = math.sqrt(sum((point.high - point.value) ** 2 for point in points)) / len(points)
    return Point(name=name, value=value, low=max(0.0, value - below), high=min(1.0, value + above))
