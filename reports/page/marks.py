"""Small inline SVGs for table cells: a dot with its interval on a scale. The page's style sheet has the colours."""

from __future__ import annotations

from harness.reports.charts.scales import labelled_ticks

WIDTH, HEIGHT = 150, 14
_MARGIN = 18  # for half of a number at each end of the axis, such as half of −0.25


def dot(value: float, low: float, high: float, ends: tuple[float, float], *, rule: float, tone: str = "") -> str:
    """Return the SVG of a value, its interval and a vertical line to compare it with, clipped to the scale.

    Args:
        value: Position of the dot.
        low: Lower end of the interval.
        high: Upper end of the interval.
        ends: Ends of the scale.
        rule: Position of the vertical line: chance, or no difference.
        tone: CSS class; ``quiet`` is grey.
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
    """Return the SVG of the scale's numbers, for the head of a column of dots."""
    words = "".join(f'<text x="{_at(mark, ends)}" y="10">{number}</text>' for mark, number in labelled_ticks(ends, 4))
    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return f'<svg class="axis" {size} overflow="visible" aria-hidden="true">{words}</svg>'


def _at(value: float, ends: tuple[float, float]) -> str:
    share = (value - ends[0]) / (ends[1] - ends[0])
    return f"{_MARGIN + share * (WIDTH - 2 * _MARGIN):.1f}"
