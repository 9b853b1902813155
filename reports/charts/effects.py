"""The drawing of effects with their intervals about 0, for the page of a factorial study or a plan, and chart files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.reports.charts.drawing import Drawing, Mark
from harness.reports.charts.scales import padded_range, ticks

_LABEL, _WIDTH, _STEP, _TOP = 230, 360, 18, 24


@dataclass(frozen=True, kw_only=True)
class Effect:
    """One line of the drawing.

    Attributes:
        label: Name at the left.
        value: Position of the dot.
        low: Lower end of the interval.
        high: Upper end.
        quiet: Whether it may be luck, and is drawn grey.
    """

    label: str
    value: float
    low: float
    high: float
    quiet: bool


def draw_effects(effects: Sequence[Effect], title: str) -> Drawing:
    """Return dots and intervals, one row per effect, about a line at 0. Effects that are not finite are left out."""
    shown = [one for one in effects if all(map(math.isfinite, (one.value, one.low, one.high)))]
    ends = padded_range([end for one in shown for end in (one.low, one.high)], include=(0.0,))

    def at(value: float) -> float:
        return _LABEL + (value - ends[0]) / (ends[1] - ends[0]) * _WIDTH

    height = _TOP + _STEP * len(shown) + 6
    marks = [Mark(kind="rule", style="rule", x=at(0.0), y=_TOP - 6, x2=at(0.0), y2=height)]
    marks += [Mark(kind="text", style="small middle", x=at(t), y=12, text=f"{t:g}") for t in ticks(ends, 5)]
    for row, one in enumerate(shown):
        y = _TOP + _STEP * row + _STEP / 2
        tooltip = f"{one.label}: {one.value:+.3f}, 95% interval {one.low:+.3f} to {one.high:+.3f}"
        data = {"effect": one.label, "value": one.value, "low": one.low, "high": one.high}
        line, dot = ("join", "quiet-dot") if one.quiet else ("interval", "dot")
        marks += [
            Mark(kind="text", style="small end", x=_LABEL - 12, y=y + 4, text=one.label),
            Mark(kind="rule", style=line, x=at(one.low), y=y, x2=at(one.high), y2=y),
            Mark(kind="point", style=dot, x=at(one.value), y=y, tooltip=tooltip, data=data),
        ]
    return Drawing(css_class="effects", label=title, width=_LABEL + _WIDTH + 20, height=height, marks=tuple(marks))
