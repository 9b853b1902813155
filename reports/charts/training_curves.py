"""Drawings of values and held-out loss over tokens since the root. The page and the chart files share them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise

from harness.reports.analysis.labels import short_labels
from harness.reports.analysis.lineage_graph import tokens_text
from harness.reports.analysis.training_curves import CurveLine, CurvePanel, CurvePoint
from harness.reports.charts.drawing import SERIES_COLOURS, SMALL_SIZE, Drawing, Mark, text_width
from harness.reports.charts.label_places import apart
from harness.reports.charts.scales import labelled_ticks, padded_range, ticks

# The plot lies between _LEFT and _RIGHT, _TOP and _BOTTOM; names of lines reach into the margin on its right.
_LEFT, _RIGHT, _TOP, _BOTTOM, _MARGIN_BELOW = 42, 310, 26, 200, 22
_NAMES = _RIGHT + 14  # where the names begin, after the leaders
_MOST_LABELS = 14  # more would hide each other

_TOKENS = Mark(kind="text", style="small", x=_NAMES, y=_BOTTOM + 15, text="tokens")

Scale = Callable[[float], float]


def draw_training_curve(panel: CurvePanel) -> Drawing:
    """Draw one panel: each line with the band of its 95% intervals, a dot per checkpoint, and its name at its end."""
    points = [point for line in panel.lines for point in line.points]
    tokens = [point.tokens for point in points]
    first = min(tokens) if 2 * min(tokens) > max(tokens) else 0  # late checkpoints fill the width
    most_tokens = max(max(tokens), first + 1)
    include = () if panel.chance is None else (panel.chance,)
    ends = padded_range([end for point in points for end in (point.low, point.high)], include=include)

    def x(tokens: float) -> float:
        return _LEFT + 8 + (tokens - first) / (most_tokens - first) * (_RIGHT - _LEFT - 16)

    def y(value: float) -> float:
        return _BOTTOM - (value - ends[0]) / (ends[1] - ends[0]) * (_BOTTOM - _TOP)

    marks = [Mark(kind="text", style="name", x=0, y=12, text=panel.title), *_axes(ends, (first, most_tokens), x, y)]
    if panel.chance is not None:
        height = y(panel.chance)
        marks.append(Mark(kind="rule", style="join", x=_LEFT, y=height, x2=_RIGHT, y2=height))
    drawn: set[tuple[str, int]] = set()
    parts = [(line, _new_part(line, drawn)) for line in panel.lines]
    if panel.has_bands:
        marks += [band for line, part in parts for band in _band(line, part, x, y)]
    marks += [rule for line, part in parts for rule in _rules(line, part, x, y)]
    marks += _dots(panel, x, y)
    names = _names(panel.lines, y)
    marks += _leaders(panel.lines, names, x, y)
    return Drawing(
        css_class="curve",
        label=f"{panel.title} over tokens",
        width=_NAMES + 8 + max(text_width(name.text, SMALL_SIZE) for name in (*names.values(), _TOKENS)),
        height=_BOTTOM + _MARGIN_BELOW,
        marks=(*marks, *names.values()),
    )


def _axes(ends: tuple[float, float], tokens: tuple[int, int], x: Scale, y: Scale) -> list[Mark]:
    marks = []
    for tick, number in labelled_ticks(ends, 5, least=3):
        marks.append(Mark(kind="rule", style="rule", x=_LEFT, y=y(tick), x2=_RIGHT, y2=y(tick)))
        marks.append(Mark(kind="text", style="small end", x=_LEFT - 6, y=y(tick) + 4, text=number))
    for tick in ticks((float(tokens[0]), float(tokens[1])), 3):
        text = tokens_text(int(tick)).removesuffix(" tokens") or "0"
        marks.append(Mark(kind="text", style="small middle", x=x(tick), y=_BOTTOM + 15, text=text))
    return [*marks, _TOKENS]


def _new_part(line: CurveLine, drawn: set[tuple[str, int]]) -> tuple[CurvePoint, ...]:
    """Return the points of a line from the last one that an earlier line has: a shared beginning is drawn once."""
    known = [at for at, point in enumerate(line.points) if (point.model, point.tokens) in drawn]
    drawn |= {(point.model, point.tokens) for point in line.points}
    return line.points[known[-1] if known else 0 :]


def _band(line: CurveLine, part: Sequence[CurvePoint], x: Scale, y: Scale) -> list[Mark]:
    if len(part) < 2 or all(point.low == point.high for point in part):
        return []
    spans = tuple((x(point.tokens), y(point.high), y(point.low)) for point in part)
    return [Mark(kind="band", style=f"band-{_colour(line)}", x=spans[0][0], y=spans[0][1], spans=spans)]


def _rules(line: CurveLine, part: Sequence[CurvePoint], x: Scale, y: Scale) -> list[Mark]:
    return [
        Mark(
            kind="rule", style=f"line-{_colour(line)}", x=x(one.tokens), y=y(one.value), x2=x(two.tokens),
            y2=y(two.value),
        )
        for one, two in pairwise(part)
    ]  # fmt: skip


def _dots(panel: CurvePanel, x: Scale, y: Scale) -> list[Mark]:
    """Return a dot per checkpoint, with its interval in the tooltip; a checkpoint of several lines has one dot."""
    marks: dict[tuple[str, int], Mark] = {}
    for line in panel.lines:
        for point in line.points:
            interval = "" if point.low == point.high else f", {panel.band} {point.low:.3f} to {point.high:.3f}"
            marks.setdefault(
                (point.model, point.tokens),
                Mark(
                    kind="point", style=f"dot-{_colour(line)}", x=x(point.tokens), y=y(point.value),
                    tooltip=f"{point.model}: {point.value:.3f}{interval}, {point.tokens:,} tokens",
                    data={"model": point.model, "tokens": point.tokens, "value": point.value, "low": point.low,
                          "high": point.high},
                ),
            )  # fmt: skip
    return list(marks.values())


def _names(lines: Sequence[CurveLine], y: Scale) -> dict[str, Mark]:
    """Return the names of the lines near their ends, moved apart, in their colours; none if too many to read."""
    if len(lines) > _MOST_LABELS:
        return {}
    labels = short_labels([line.name for line in lines])
    heights = {line.name: y(line.points[-1].value) for line in lines}
    colours = {line.name: _colour(line) for line in lines}
    return {
        name: Mark(kind="text", style=f"small label-{colours[name]}", x=_NAMES, y=height, text=labels[name])
        for name, height in apart(heights, lowest=_BOTTOM).items()
    }


def _leaders(lines: Sequence[CurveLine], names: Mapping[str, Mark], x: Scale, y: Scale) -> list[Mark]:
    """Return a thin rule from the end of each line to its name."""
    return [
        Mark(
            kind="rule", style=f"leader line-{_colour(line)}", x=x(end.tokens), y=y(end.value), x2=_NAMES - 3,
            y2=names[line.name].y - 4,
        )
        for line in lines
        if line.name in names
        for end in line.points[-1:]
    ]  # fmt: skip


def _colour(line: CurveLine) -> int:
    return line.colour % len(SERIES_COLOURS)
