"""The drawing of detectable effects over the number of seeds, one line per contrast."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from harness.reports.charts.drawing import Drawing, Mark
from harness.reports.charts.label_places import apart
from harness.reports.charts.scales import ticks
from harness.reports.documents.power import CurvePoint

_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 420, 10, 220


def draw_power_curve(points: Sequence[CurvePoint]) -> Drawing:
    """Return the drawing; the vertical axis starts at 0, in points."""
    largest = 1.04 * max(one.mde for one in points)
    most = max(one.seeds for one in points)

    def x(seeds: float) -> float:
        return _LEFT + seeds / most * (_RIGHT - _LEFT)

    def y(mde: float) -> float:
        return _BOTTOM - mde / largest * (_BOTTOM - _TOP)

    marks = []
    for tick in ticks((0.0, largest), 5):
        marks.append(Mark(kind="rule", style="rule", x=_LEFT, y=y(tick), x2=_RIGHT, y2=y(tick)))
        marks.append(Mark(kind="text", style="small end", x=_LEFT - 6, y=y(tick) + 3, text=f"{tick:g}"))
    shown = sorted({one.seeds for one in points})
    marks += [Mark(kind="text", style="small middle", x=x(s), y=_BOTTOM + 16, text=str(s)) for s in shown]
    marks.append(
        Mark(kind="text", style="small end", x=_RIGHT, y=_BOTTOM + 34, text="seeds (pre-training runs per level)")
    )
    for contrast in dict.fromkeys(one.contrast for one in points):
        line = [one for one in points if one.contrast == contrast]
        marks += [
            Mark(kind="rule", style="interval", x=x(a.seeds), y=y(a.mde), x2=x(b.seeds), y2=y(b.mde))
            for a, b in itertools.pairwise(line)
        ]
        marks += [
            Mark(
                kind="point", style="dot", x=x(one.seeds), y=y(one.mde),
                tooltip=f"{contrast}, {one.seeds} seeds: {one.mde:.1f} points",
                data={"contrast": contrast, "seeds": one.seeds, "points": one.mde},
            )
            for one in line
        ]  # fmt: skip
    last = {one.contrast: y(one.mde) for one in points if one.seeds == most}
    marks += [
        Mark(kind="text", style="small", x=_RIGHT + 8, y=at, text=name)
        for name, at in apart(last, lowest=_BOTTOM).items()
    ]
    label = "What can be found with how many seeds?"
    return Drawing(css_class="effects", label=label, width=_RIGHT + 140, height=_BOTTOM + 40, marks=tuple(marks))
