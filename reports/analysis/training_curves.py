"""Curves over training tokens: the value overall and by domain of each checkpoint, and the held-out loss of its stage.

    base -> sft step 100, sft step 200      one line: base - step 100 - step 200, over tokens since the root

A line is drawn for each training run that has no successor here; runs that share their first stages share that part.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.records import ModelRecords
from harness.reports.analysis.domains import BoardEstimates
from harness.reports.analysis.lineage_graph import LineageNode, lineage_nodes
from harness.reports.analysis.token_curve import trace_curve
from harness.stats.combining import Estimate

OVERALL_TITLE, LOSS_TITLE = "overall, chance-centred", "held-out loss (less is better)"


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One point of a line.

    Attributes:
        model: Name of the evaluated model; of a held-out loss, the name of its stage.
        tokens: Tokens since the root.
        value: Height of the point.
        low: Lower end of the 95% interval; `value` if there is none.
        high: Upper end.
    """

    model: str
    tokens: int
    value: float
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class CurveLine:
    """One curve, drawn in one colour.

    Attributes:
        name: Label at its end.
        points: In the order of tokens.
        colour: Number of its colour.
    """

    name: str
    points: tuple[CurvePoint, ...]
    colour: int


@dataclass(frozen=True, kw_only=True)
class CurvePanel:
    """One panel.

    Attributes:
        title: What its height is.
        chance: Height of a horizontal line, the value of guessing; None for none.
        lines: At least one.
        band: What the ends of a point are.
    """

    title: str
    chance: float | None
    lines: tuple[CurveLine, ...]
    band: str = "95% interval"


def curves_of(models: Sequence[ModelRecords], estimates: BoardEstimates) -> tuple[CurvePanel, ...]:
    """Return `training_curves` of the lineages of models."""
    return training_curves(lineage_nodes(models), estimates)


def training_curves(nodes: Sequence[LineageNode], estimates: BoardEstimates) -> tuple[CurvePanel, ...]:
    """Return the panels: overall, each domain if there are several, then held-out loss; none if no points are joined.

    Args:
        nodes: All nodes of the lineages.
        estimates: Values of the evaluated models.
    """
    _, joins = trace_curve(nodes, estimates.overall)
    if not joins:
        return ()
    colours = _colours(nodes, joins)
    panels = [_panel(OVERALL_TITLE, 0.0, estimates.overall, nodes, colours)]
    if len(estimates.domains) > 1:
        panels += [_panel(f"{one.domain}", one.chance, one.estimates, nodes, colours) for one in estimates.domains]
    loss = _held_out(nodes, colours)
    return (*panels, *([loss] if loss else []))


def _colours(nodes: Sequence[LineageNode], joins: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Return the colour of each checkpoint: that of its line, by the order of the last checkpoints of lines.

    A checkpoint with several successors has the colour of the first.
    """
    before = {after: previous for previous, after in joins}
    inner = {previous for previous, _ in joins}
    order = [node.digest for node in nodes]
    ends = [digest for digest in order if digest in before and digest not in inner]
    colours: dict[str, int] = {}
    for colour, end in enumerate(ends):
        digest: str | None = end
        while digest is not None and digest not in colours:
            colours[digest] = colour
            digest = before.get(digest)
    return colours


def _panel(
    title: str,
    chance: float,
    values: Mapping[str, Estimate],
    nodes: Sequence[LineageNode],
    colours: Mapping[str, int],
) -> CurvePanel:
    points, joins = trace_curve(nodes, values)
    before = {after: previous for previous, after in joins}
    inner = {previous for previous, _ in joins}
    # The others are on the way to one that ends a line.
    lines = tuple(_line(digest, points, before, colours) for digest in points if digest not in inner)
    return CurvePanel(title=title, chance=chance, lines=lines)


def _line(
    end: str,
    points: Mapping[str, tuple[LineageNode, Estimate]],
    before: Mapping[str, str],
    colours: Mapping[str, int],
) -> CurveLine:
    """Return the line that ends in a checkpoint, from the root."""
    way = [end]
    while way[0] in before:
        way.insert(0, before[way[0]])
    return CurveLine(
        name=points[end][0].models[0],
        points=tuple(_point(*points[digest]) for digest in way),
        colour=colours.get(end, 0),
    )


def _point(node: LineageNode, one: Estimate) -> CurvePoint:
    return CurvePoint(model=node.models[0], tokens=node.total_tokens or 0, value=one.value, low=one.low, high=one.high)


def _held_out(nodes: Sequence[LineageNode], colours: Mapping[str, int]) -> CurvePanel | None:
    """Return the held-out loss of the last state of each stage: it holds the measurements of the earlier ones too."""
    last: dict[tuple[str, tuple[str, ...]], LineageNode] = {}
    for node in nodes:
        if node.held_out and node.total_tokens is not None:
            known = last.get((node.name, node.parents))
            if known is None or (node.tokens or 0) >= (known.tokens or 0):
                last[node.name, node.parents] = node
    lines = tuple(
        CurveLine(
            name=node.name,
            points=tuple(
                CurvePoint(
                    model=node.name,
                    tokens=(node.total_tokens or 0) - (node.tokens or 0) + point.tokens,
                    value=point.loss,
                    low=point.loss,
                    high=point.loss,
                )
                for point in node.held_out
            ),
            colour=colours.get(node.digest, 0),
        )
        for node in last.values()
    )
    return CurvePanel(title=LOSS_TITLE, chance=None, lines=lines) if lines else None
