"""The forest plot: effects with their intervals about 0, tasks as rows, arms or contrasts as columns, on one scale.

         tune            pretrain
overall    ──●──            ─●─
logic     ───●────        ──●──        one zero line per column; grey: not significant

Effects on losses, where less is better, stand below the others, with a scale of their own and these words.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from harness.reports.analysis.labels import short_labels
from harness.reports.charts.drawing import Drawing, Mark, text_width
from harness.reports.charts.scales import labelled_ticks, padded_range

_COLUMN, _GAP, _STEP, _TOP, _BETWEEN = 165, 34, 18, 40, 26
_LONGEST = 26  # letters of a name
_LONGEST_LOSS, LESS = 18, "(less is better)"  # which follows the name
COLUMNS_PER_BAND = 4  # columns beside each other; the others go below
# Intervals that are wider than this many times the median one are cut at the ends of the scale.
_WIDEST = 4.0


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One dot with its interval.

    Attributes:
        row: Name of its row, a task.
        column: Name of its column, a contrast or an arm.
        value: Position of the dot.
        low: Lower end of the interval.
        high: Upper end.
        quiet: Whether it is not significant, and so drawn grey.
        higher_is_better: Whether more is better on its task.
    """

    row: str
    column: str
    value: float
    low: float
    high: float
    quiet: bool
    higher_is_better: bool = True

    @property
    def finite(self) -> bool:
        """Whether it can be drawn."""
        return all(map(math.isfinite, (self.value, self.low, self.high)))


def draw_forest(effects: Sequence[Effect], title: str, per_band: int = COLUMNS_PER_BAND) -> Drawing:
    """Return the drawing; effects that are not finite are left out, and ends beyond the scale are cut to an arrow head.

    Args:
        effects: Rows and columns have the order in which they first occur.
        title: Description for screen readers.
        per_band: Columns beside each other; 1 for a phone.
    """
    shown = [one for one in effects if one.finite]
    columns = list(dict.fromkeys(one.column for one in shown))
    parts = [[one for one in shown if one.higher_is_better], [one for one in shown if not one.higher_is_better]]
    names = _names(parts[0], _LONGEST) | {
        row: f"{name} {LESS}" for row, name in _names(parts[1], _LONGEST_LOSS).items()
    }
    heads = short_labels(columns, _LONGEST)
    label = max((text_width(name) for name in names.values()), default=0.0) + 12
    pitch = max([_COLUMN + _GAP, *(text_width(head) + 16 for head in heads.values())])
    marks: list[Mark] = []
    top = 0.0
    for part in filter(None, parts):
        for first in range(0, len(columns), per_band):
            own = {column: heads[column] for column in columns[first : first + per_band]}
            frame = _Frame(left=label, top=top + _TOP, pitch=pitch, ends=_ends(part))
            marks += _band(part, own, names, frame)
            top = frame.row(len({one.row for one in part}) - 0.5) + _BETWEEN
    return Drawing(
        css_class="effects",
        label=title,
        width=label + min(len(columns), per_band) * pitch,
        height=max(top, _TOP + _BETWEEN) - _BETWEEN + 8,
        marks=tuple(marks),
    )


def _names(effects: Sequence[Effect], longest: int) -> dict[str, str]:
    return short_labels(list(dict.fromkeys(one.row for one in effects)), longest)


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """Where a column is drawn, how far the next one is from it, and the ends of its scale."""

    left: float
    top: float
    pitch: float
    ends: tuple[float, float]

    def at(self, value: float) -> float:
        share = (min(max(value, self.ends[0]), self.ends[1]) - self.ends[0]) / (self.ends[1] - self.ends[0])
        return self.left + share * _COLUMN

    def row(self, at: float) -> float:
        """The middle of a row."""
        return self.top + _STEP * (at + 0.5)


def _ends(shown: Sequence[Effect]) -> tuple[float, float]:
    """Return the ends of the scale: all dots, and all of the usual intervals."""
    if not shown:
        return padded_range((), include=(0.0,))
    usual = _WIDEST * median(one.high - one.low for one in shown)
    kept = [end for one in shown if one.high - one.low <= usual for end in (one.low, one.high)]
    return padded_range([*kept, *(one.value for one in shown)], include=(0.0,))


def _band(effects: Sequence[Effect], heads: Mapping[str, str], names: Mapping[str, str], frame: _Frame) -> list[Mark]:
    """Return the names of the rows, and columns beside each other."""
    rows = list(dict.fromkeys(one.row for one in effects))
    marks = [
        Mark(kind="text", style="name end", x=frame.left - 12, y=frame.row(at) + 4, text=names[row])
        for at, row in enumerate(rows)
    ]
    for place, (column, head) in enumerate(heads.items()):
        own = [one for one in effects if one.column == column]
        marks += _column(head, own, rows, replace(frame, left=frame.left + place * frame.pitch))
    return marks


def _column(name: str, effects: Sequence[Effect], rows: Sequence[str], frame: _Frame) -> list[Mark]:
    bottom = frame.top + _STEP * len(rows)
    zero = frame.at(0.0)
    marks = [
        Mark(kind="text", style="bold middle", x=frame.left + _COLUMN / 2, y=frame.top - 26, text=name),
        Mark(kind="rule", style="rule", x=zero, y=frame.top - 4, x2=zero, y2=bottom),
    ]
    marks += [
        Mark(kind="text", style="small middle", x=frame.at(tick), y=frame.top - 10, text=number)
        for tick, number in labelled_ticks(frame.ends, 4, least=3)
    ]
    for one in effects:
        marks += _effect(one, frame.row(rows.index(one.row)), frame)
    return marks


def _effect(one: Effect, y: float, frame: _Frame) -> list[Mark]:
    line, dot = ("join", "quiet-dot") if one.quiet else ("interval", "dot")
    tooltip = f"{one.row}, {one.column}: {one.value:+.3f}, 95% interval {one.low:+.3f} to {one.high:+.3f}"
    data = {"row": one.row, "effect": one.column, "value": one.value, "low": one.low, "high": one.high}
    marks = [Mark(kind="rule", style=line, x=frame.at(one.low), y=y, x2=frame.at(one.high), y2=y)]
    for end, inward in ((one.low, 1), (one.high, -1)):
        if not frame.ends[0] <= end <= frame.ends[1]:  # cut: an arrow head at the end of the scale
            x = frame.at(end)
            marks += [Mark(kind="rule", style=line, x=x, y=y, x2=x + inward * 5, y2=y + side * 3.5) for side in (-1, 1)]
    return [*marks, Mark(kind="point", style=dot, x=frame.at(one.value), y=y, tooltip=tooltip, data=data)]
