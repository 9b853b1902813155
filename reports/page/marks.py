"""Small inline drawings: a dot with its interval on a scale. Colours come from the page's style sheet."""

from __future__ import annotations

from collections.abc import Sequence

WIDTH, HEIGHT = 150, 14
_MARGIN = 4


def scale(values: Sequence[float], *, include: Sequence[float] = ()) -> tuple[float, float]:
    """Return ends of a scale that hold all values, with a little room."""
    every = [*values, *include]
    low, high = min(every), max(every)
    room = 0.04 * (high - low) or 0.05
    return low - room, high + room


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


def ticks(ends: tuple[float, float], most: int) -> list[float]:
    """Return round numbers within a scale, at most about `most`."""
    step = _step((ends[1] - ends[0]) / most)
    first = int(ends[0] / step) - 1
    found = [round((first + i) * step, 10) for i in range(3 * most)]
    return [mark for mark in found if ends[0] <= mark <= ends[1]]


def _at(value: float, ends: tuple[float, float]) -> str:
    share = (value - ends[0]) / (ends[1] - ends[0])
    return f"{_MARGIN + share * (WIDTH - 2 * _MARGIN):.1f}"


def _step(rough: float) -> float:
    """The round number (1, 2 or 5 times a power of ten) next above a rough step."""
    power = 10.0 ** int(f"{rough:e}".partition("e")[2])
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999)
