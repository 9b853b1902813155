"""Small inline drawings: a dot with its interval on a scale. Colours come from the page's style sheet."""

from __future__ import annotations

from harness.reports.charts.scales import ticks

WIDTH, HEIGHT = 150, 14
_MARGIN = 4


def dot(value: float, low: float, high: float, ends: tuple[float, float], *, rule: float, tone: str = "") -> str:
    """Draw one value, its interval and a rule to compare it with; clipped to the scale.

    Args:
        value: Where the dot is.
        low: Lower end of the interval.
        high: Upper end.
        ends: Of the scale.
        rule: Where the thin upright line is: chance, or no difference.
        tone: Class of the drawing.
    """
    middle = HEIGHT / 2
    x1, x2, x, x0 = (_at(min(max(v, ends[0]), ends[1]), ends) for v in (low, high, value, rule))
    label = f"{value:.3f}, 95% interval {low:.3f} to {high:.3f}"
    return (
        f'<svg class="mark {tone}" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{label}"><title>{label}</title>'
        f'<path class="rule" d="M{x0} 0V{HEIGHT}"/><path class="interval" d="M{x1} {middle:g}H{x2}"/>'
        f'<circle cx="{x}" cy="{middle:g}" r="3"/></svg>'
    )


def axis(ends: tuple[float, float]) -> str:
    """Draw the scale's numbers, to stand above or below a column of dots."""
    words = "".join(f'<text x="{_at(mark, ends)}" y="10">{mark:g}</text>' for mark in ticks(ends, 5))
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg class="axis" {size} aria-hidden="true">{words}</svg>'


def _at(value: float, ends: tuple[float, float]) -> str:
    share = (value - ends[0]) / (ends[1] - ends[0])
    return f"{_MARGIN + share * (WIDTH - 2 * _MARGIN):.1f}"
