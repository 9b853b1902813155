"""Scales of drawings: a range that contains all values, and round numbers on it."""

from __future__ import annotations

from collections.abc import Sequence

_FINEST = 40  # a scale without round numbers has few ticks, but it is drawn


def padded_range(values: Sequence[float], *, include: Sequence[float] = ()) -> tuple[float, float]:
    """Return the ends of a scale that contains all values, with a margin of 4% at each end.

    Args:
        values: At least one, unless `include` has one.
        include: Further values that the scale must show, such as 0.
    """
    shown = [*values, *include]
    low, high = min(shown), max(shown)
    margin = 0.04 * (high - low) or 0.05
    return low - margin, high + margin


def ticks(ends: tuple[float, float], most: int, least: int = 2) -> list[float]:
    """Return round numbers between the ends of a scale, about `most` of them, but at least `least`."""
    marks: list[float] = []
    while len(marks) < least:
        step = _round_step((ends[1] - ends[0]) / most)
        first = int(ends[0] / step) - 1
        candidates = [round((first + i) * step, 10) for i in range(3 * most)]
        marks = [tick for tick in candidates if ends[0] <= tick <= ends[1]]
        most += 1
        if most > _FINEST:
            break
    return marks


def labelled_ticks(ends: tuple[float, float], most: int, least: int = 2) -> list[tuple[float, str]]:
    """Return `ticks` with their numbers: equally many decimals, but 0 has none, and a minus sign as wide as a plus."""
    places = ticks(ends, most, least)
    written = [f"{place:g}" for place in places]
    decimals = max((len(one.partition(".")[2]) for one in written if "e" not in one), default=0)
    numbers = [
        one if "e" in one or place == 0.0 else f"{place:.{decimals}f}"
        for place, one in zip(places, written, strict=True)
    ]
    return [(place, one.replace("-", "\N{MINUS SIGN}")) for place, one in zip(places, numbers, strict=True)]


def _round_step(rough: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is at least `rough`."""
    power = 10.0 ** int(f"{rough:e}".partition("e")[2])
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= rough * 0.999)
