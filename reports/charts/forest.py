"""The forest plot: effects with their intervals about 0, tasks as rows, arms or contrasts as columns, on one scale.

         tune            pretrain
overall    ──●──            ─●─
logic     ───●────        ──●──        one zero line per column; grey: not significant
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from harness.reports.analysis.labels import short_labels
from harness.reports.charts.drawing import Drawing, Mark, text_width
from harness.reports.charts.scales import labelled_ticks, padded_range

_COLUMN, _GAP, _STEP, _TOP, _BETWEEN = 165, 34, 18, 40, 26
_LONGEST = 26  # letters of a name
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
    """

    row: str
    column: str
    value: float
    low: float
    high: float
    quiet: bool

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
    rows = list(dict.fromkeys(one.row for one in shown))
    columns = list(dict.fromkeys(one.column for one in shown))
    names = short_labels(rows, _LONGEST)
    heads = short_labels(columns, _LONGEST)
    label = max((text_width(name) for name in names.values()), default=0.0) + 12
    pitch = max([_COLUMN + _GAP, *(text_width(head) + 16 for head in heads.values())])
    ends, height = _ends(shown), _STEP * len(rows)
    marks: list[Mark] = []
    for number, column in enumerate(columns):
        band, place = divmod(number, per_band)
        frame = _Frame(left=label + place * pitch, top=_TOP + band * (_TOP + height + _BETWEEN), ends=ends)
        if place == 0:
            marks += [
                Mark(kind="text", style="name end", x=label - 12, y=frame.row(at) + 4, text=name)
                for at, name in enumerate(names.values())
            ]
        marks += _column(heads[column], [one for one in shown if one.column == column], rows, frame)
    bands = math.ceil(len(columns) / per_band)
    return Drawing(
        css_class="effects",
        label=title,
        width=label + min(len(columns), per_band) * pitch,
        height=max(1, bands) * (_TOP + height + _BETWEEN) - _BETWEEN + 8,
        marks=tuple(marks),
    )


@dataclass(frozen=True, kw_only=True)
class _Frame:
    """Where a column is drawn, and the ends of its scale."""

    left: float
    top: float
    ends: tuple[float, float]

    def at(self, value: float) -> float:
        share = (min(max(value, self.ends[0]), self.ends[1]) - self.ends[0]) / (self.ends[1] - self.ends[0])
        return self.left + share * _COLUMN

    def row(self, at: int) -> float:
        """The middle of a row."""
        return self.top + _STEP * (at + 0.5)


def _ends(shown: Sequence[Effect]) -> tuple[float, float]:
    """Return the ends of the scale: all dots, and all of the usual intervals."""
    if not shown:
        return padded_range((), include=(0.0,))
    usual = _WIDEST * median(one.high - one.low for one in shown)
    kept = [end for one in shown if one.high - one.low <= usual for end in (one.low, one.high)]
    return padded_range([*kept, *(one.value for one in shown)], include=(0.0,))


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
