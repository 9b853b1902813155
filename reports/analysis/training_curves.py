"""Curves over training tokens: the value overall and by domain of each checkpoint, and the held-out loss of its stage.

    base -> sft step 100, sft step 200      one line: base - step 100 - step 200, over tokens since the root

A line is drawn for each training run that has no successor here; runs that share their first stages share that part.
Runs of several seeds are one line, the mean of their points with their range.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.records import ModelRecords
from harness.reports.analysis.domains import BoardEstimates
from harness.reports.analysis.lineage_graph import LineageNode, lineage_nodes
from harness.reports.analysis.recipes import without_seed
from harness.reports.analysis.seed_groups import Way, aligned, group_seeds, shared_name
from harness.reports.analysis.token_curve import trace_curve
from harness.stats.combining import Estimate

OVERALL_TITLE, LOSS_TITLE = "overall, chance-centred", "held-out loss (less is better)"
RANGE = "range of the runs"
MOST_BANDS = 6  # lines with bands; those of more would hide each other


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

    @property
    def has_bands(self) -> bool:
        """Whether its bands are drawn."""
        return len(self.lines) <= MOST_BANDS


def curves_of(models: Sequence[ModelRecords], estimates: BoardEstimates) -> tuple[CurvePanel, ...]:
    """Return `training_curves` of the lineages of models."""
    return training_curves(lineage_nodes(models), estimates)


def training_curves(nodes: Sequence[LineageNode], estimates: BoardEstimates) -> tuple[CurvePanel, ...]:
    """Return the panels: overall, each domain if there are several, then held-out loss; none if no points are joined.

    Args:
        nodes: All nodes of the lineages.
        estimates: Values of the evaluated models.
    """
    ways = _ways(nodes, estimates.overall)
    if all(len(way) == 1 for way in ways):
        return ()
    colours = _colours(group_seeds(ways))
    panels = [_panel(OVERALL_TITLE, 0.0, estimates.overall, nodes, colours)]
    if len(estimates.domains) > 1:
        panels += [_panel(f"{one.domain}", one.chance, one.estimates, nodes, colours) for one in estimates.domains]
    loss = _held_out(nodes, colours)
    return (*panels, *([loss] if loss else []))


def _ways(nodes: Sequence[LineageNode], values: Mapping[str, Estimate]) -> list[Way]:
    """Return the checkpoints of each line, from the root."""
    points, joins = trace_curve(nodes, values)
    before = {after: previous for previous, after in joins}
    inner = {previous for previous, _ in joins}
    ways = []
    for end in points:
        if end not in inner:  # the others are on the way to one that ends a line
            way = [end]
            while way[0] in before:
                way.insert(0, before[way[0]])
            ways.append(tuple(points[digest][0] for digest in way))
    return ways


def _colours(groups: Sequence[Sequence[Way]]) -> dict[str, int]:
    """Return the colour of each checkpoint: that of its line, by the order of lines.

    A checkpoint with several successors has the colour of the first.
    """
    colours: dict[str, int] = {}
    for colour, group in enumerate(one for one in groups if len(one[0]) > 1):
        for way in group:
            for node in way:
                colours.setdefault(node.digest, colour)
    return colours


def _panel(
    title: str,
    chance: float,
    values: Mapping[str, Estimate],
    nodes: Sequence[LineageNode],
    colours: Mapping[str, int],
) -> CurvePanel:
    groups = group_seeds(_ways(nodes, values))
    lines = tuple(
        CurveLine(
            name=shared_name(group[0][-1]) if len(group) > 1 else group[0][-1].models[0],
            points=tuple(_point(members, values) for members in aligned(group)),
            colour=colours.get(group[0][-1].digest, 0),
        )
        for group in groups
    )
    if all(len(group) == 1 for group in groups):
        return CurvePanel(title=title, chance=chance, lines=lines)
    # A range beside intervals would look like one; so a single run has neither.
    lines = tuple(line if len(group) > 1 else _without_band(line) for line, group in zip(lines, groups, strict=True))
    return CurvePanel(title=title, chance=chance, lines=lines, band=RANGE)


def _point(members: Sequence[LineageNode], values: Mapping[str, Estimate]) -> CurvePoint:
    """Return the point of a checkpoint with its interval, or that of the same checkpoint of several runs."""
    known = [values[node.models[0]] for node in members]
    if len(members) == 1:
        (one,) = known
        return CurvePoint(
            model=members[0].models[0],
            tokens=members[0].total_tokens or 0,
            value=one.value,
            low=one.low,
            high=one.high,
        )
    return mean_point(
        shared_name(members[0]), [(node.total_tokens or 0, one.value) for node, one in zip(members, known, strict=True)]
    )


def mean_point(name: str, measured: Sequence[tuple[int, float]]) -> CurvePoint:
    """Return the mean and the range of several runs, of which each is given by its tokens and its value."""
    values = [value for _, value in measured]
    return CurvePoint(
        model=name,
        tokens=round(sum(tokens for tokens, _ in measured) / len(measured)),
        value=sum(values) / len(values),
        low=min(values),
        high=max(values),
    )


def _without_band(line: CurveLine) -> CurveLine:
    return replace(line, points=tuple(replace(point, low=point.value, high=point.value) for point in line.points))


def _held_out(nodes: Sequence[LineageNode], colours: Mapping[str, int]) -> CurvePanel | None:
    """Return the held-out loss of the last state of each stage: it holds the measurements of the earlier ones too."""
    last: dict[tuple[str, tuple[str, ...]], LineageNode] = {}
    for node in nodes:
        if node.held_out and node.total_tokens is not None:
            known = last.get((node.name, node.parents))
            if known is None or (node.tokens or 0) >= (known.tokens or 0):
                last[node.name, node.parents] = node
    groups = group_seeds([(node,) for node in last.values()])
    lines = []
    for group in groups:
        stages = [node for (node,) in group]
        name = stages[0].name if len(stages) == 1 else without_seed(stages[0].name)
        points = tuple(mean_point(name, own) for own in zip(*map(held_out_losses, stages), strict=False))
        lines.append(CurveLine(name=name, points=points, colour=colours.get(stages[0].digest, 0)))
    return CurvePanel(title=LOSS_TITLE, chance=None, lines=tuple(lines), band=RANGE) if lines else None


def held_out_losses(node: LineageNode) -> list[tuple[int, float]]:
    """Return tokens since the root and held-out loss of each measurement; none if the tokens are unknown."""
    if node.total_tokens is None:
        return []
    before = node.total_tokens - (node.tokens or 0)
    return [(before + point.tokens, point.loss) for point in node.held_out]
