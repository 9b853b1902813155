"""Curves of a factorial study whose runs have several evaluated checkpoints: one line per arm, over training tokens.

    runs of NC      step 10   step 20   end            line of NC: the means of these columns, each with the interval
    NC-0            0.31      0.35      0.40           of items and training runs that the matrix has for the last one
    NC-1            0.29      0.36      0.38

A point is drawn where every run of the arm has a checkpoint. Held-out loss is the mean over the runs, and its band is
their range.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from harness.errors import RecordError
from harness.reports.analysis.all_pairs import mean_cell
from harness.reports.analysis.contrasts import Cell, cell_label
from harness.reports.analysis.factorial import FactorialAnalysis
from harness.reports.analysis.lineage_graph import LineageNode, lineage_nodes
from harness.reports.analysis.matrix import MatrixCell
from harness.reports.analysis.study import TrainingRun
from harness.reports.analysis.task_values import TaskValues, collect, overall_tables
from harness.reports.analysis.training_curves import (
    LOSS_TITLE,
    OVERALL_TITLE,
    RANGE,
    CurveLine,
    CurvePanel,
    CurvePoint,
    held_out_losses,
    mean_point,
)
from harness.stats.factorial import Runs

Nodes = Mapping[str, LineageNode]
"""The checkpoint of each evaluated model, by the model's name."""


def study_curves(analysis: FactorialAnalysis, *, force: bool) -> tuple[CurvePanel, ...]:
    """Return the panels: overall, each task, then held-out loss; none if no arm has two points.

    Args:
        analysis: The analysis.
        force: Use checkpoints even if their prompts differ.
    """
    runs = analysis.study.runs
    if not any(len(run.checkpoints) > 1 for run in runs):
        return ()
    nodes = {name: node for node in lineage_nodes([m for run in runs for m in run.checkpoints]) for name in node.models}
    values = [_values_of(group, nodes, analysis, force=force) for group in _by_step(runs, nodes)]
    titles = list(dict.fromkeys(title for own in values for title, _ in own))
    panels = [
        CurvePanel(
            title=title,
            chance=_chance(title, analysis),
            lines=_lines(title, values, analysis),
        )
        for title in titles
    ]
    panels = [panel for panel in panels if any(len(line.points) > 1 for line in panel.lines)]
    loss = _held_out(analysis, nodes) if panels else None
    return (*panels, *([loss] if loss else []))


def _by_step(runs: Sequence[TrainingRun], nodes: Nodes) -> list[list[TrainingRun]]:
    """Return the runs with their checkpoint at each step, for the arms of which every run has one; the end is last."""
    sizes: dict[Cell, int] = {}
    for run in runs:
        sizes[run.cell] = sizes.get(run.cell, 0) + 1
    steps: dict[float, list[TrainingRun]] = {}
    for run in runs:
        for model in run.checkpoints:
            if model.name in nodes:
                step = nodes[model.name].step
                steps.setdefault(math.inf if step is None else step, []).append(replace(run, checkpoints=(model,)))
    groups = []
    for _, members in sorted(steps.items(), key=lambda pair: pair[0]):
        cells = [run.cell for run in members]
        groups.append([run for run in members if cells.count(run.cell) == sizes[run.cell]])
    return [group for group in groups if group]


Point = tuple[str, Cell]
"""A title and a cell."""


def _values_of(
    group: Sequence[TrainingRun], nodes: Nodes, analysis: FactorialAnalysis, *, force: bool
) -> dict[Point, CurvePoint]:
    """Return the points of the arms at one step."""
    try:
        tasks = collect(group, [], force=force)
    except RecordError:
        return {}
    tables = {one.task: [one.table] for one in tasks}
    if overall := overall_tables(tasks, any_scale=analysis.any_scale):
        tables = {_overall_title(analysis): overall} | tables
    grouped = Runs(cells=[run.cell for run in group], plots=[run.plot for run in group])
    points: dict[Point, CurvePoint] = {}
    for cell in dict.fromkeys(run.cell for run in group):
        tokens = _tokens([run for run in group if run.cell == cell], nodes)
        for title, own in tables.items():
            if tokens is not None:
                name = cell_label(cell, analysis.study.factors)
                points[title, cell] = _point(name, tokens, mean_cell(own, grouped, cell, (0, 0)))
    return points


def _tokens(runs: Sequence[TrainingRun], nodes: Nodes) -> int | None:
    """Return the mean tokens of checkpoints since their roots; None if one is unknown."""
    totals = [node.total_tokens if (node := nodes.get(run.checkpoints[0].name)) else None for run in runs]
    known = [total for total in totals if total is not None]
    return round(sum(known) / len(known)) if known and len(known) == len(totals) else None


def _point(name: str, tokens: int, cell: MatrixCell) -> CurvePoint:
    low, high = (cell.value if math.isnan(end) else end for end in (cell.low, cell.high))
    return CurvePoint(model=name, tokens=tokens, value=cell.value, low=low, high=high)


def _lines(
    title: str, values: Sequence[Mapping[Point, CurvePoint]], analysis: FactorialAnalysis
) -> tuple[CurveLine, ...]:
    lines = []
    for colour, arm in enumerate(analysis.arms):
        points = [own[title, arm.cell] for own in values if (title, arm.cell) in own]
        if points:
            ordered = sorted(points, key=lambda point: point.tokens)
            lines.append(CurveLine(name=arm.name, points=tuple(ordered), colour=colour))
    return tuple(lines)


def _overall_title(analysis: FactorialAnalysis) -> str:
    return "overall, in the metric's units" if analysis.any_scale else OVERALL_TITLE


def _chance(task: str, analysis: FactorialAnalysis) -> float | None:
    """Return what guessing reaches on a task or overall; None for a metric without it."""
    if task == OVERALL_TITLE:
        return 0.0
    known: list[TaskValues] = [one for one in analysis.tasks if one.task == task]
    return known[0].chance if known and known[0].on_scale else None


def _held_out(analysis: FactorialAnalysis, nodes: Nodes) -> CurvePanel | None:
    """Return the held-out loss of each arm: its last checkpoints hold the measurements of the earlier ones too."""
    lines = []
    for colour, arm in enumerate(analysis.arms):
        last = [run.checkpoints[-1].name for run in analysis.study.runs if run.cell == arm.cell]
        curves = [held_out_losses(nodes[name]) for name in last if name in nodes]
        if len(curves) < len(last) or not all(curves):
            continue
        points = tuple(mean_point(arm.name, measured) for measured in zip(*curves, strict=False))
        lines.append(CurveLine(name=arm.name, points=points, colour=colour))
    return CurvePanel(title=LOSS_TITLE, chance=None, lines=tuple(lines), band=RANGE) if lines else None
