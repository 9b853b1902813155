"""Captions for a paper: the test, the correction and the number of items, of tables and charts alike."""

from __future__ import annotations

from collections.abc import Sequence

from harness.reports.analysis.differences import Comparison
from harness.reports.analysis.factorial import FactorialAnalysis
from harness.reports.analysis.leaderboard import Leaderboard
from harness.stats import AGGREGATE

CORRECTIONS = {"holm": "Holm's method, overall first and then its tasks", "bh": "Benjamini and Hochberg's method"}


def comparison_caption(comparison: Comparison) -> str:
    """Return what a table or a chart of differences shows."""
    runs = len(comparison.arms[0].models)
    items = [one.items for one in comparison.differences if one.items]
    if runs > 1:
        test = f"Student's t over items and runs ({_range([len(arm.models) for arm in comparison.arms])} runs per arm)"
    else:
        test = "the mid-p variant of McNemar's exact test, or of the sign-flip test where values are not right or wrong"
    return (
        f"Difference from {comparison.arms[0].name} on the same items, with 95% interval; p by {test}, corrected for "
        f"{comparison.tests:,} {'test' if comparison.tests == 1 else 'tests'} by {CORRECTIONS[comparison.correction]}. "
        f"n = {_range(items) if items else '0'} items per task. Intervals are not adjusted for multiple tests."
    )


def factorial_caption(analysis: FactorialAnalysis) -> str:
    """Return what a table or a chart of effects shows."""
    items = [one.values.shape[1] for one in analysis.tasks]
    plots = [arm.plots for arm in analysis.arms]
    return (
        "Effect with 95% interval and p by Student's t, with the error of items and training runs; p corrected within "
        f"its family by Holm's method. n = {_range(items) if items else '0'} items per task; "
        f"{_range([arm.runs for arm in analysis.arms])} training runs per arm from {_range(plots)} pre-training runs. "
        f"Overall is the {'' if analysis.any_scale else 'chance-centred '}mean over domains. Intervals "
        "are not adjusted for multiple tests."
    )


def board_caption(board: Leaderboard) -> str:
    """Return what the ranks of a leaderboard show."""
    return (
        f"Chance-centred mean over domains ({AGGREGATE}) of {sum(task.counted for task in board.tasks)} tasks, n = "
        f"{board.standings[0].items:,} items; ranks and groups test all pairs of models at once (95%)."
    )


def _range(values: Sequence[int]) -> str:
    least, most = min(values), max(values)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
