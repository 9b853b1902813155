"""Places of the labels at the ends of lines, so that no two overlap."""

from __future__ import annotations

from collections.abc import Mapping

LINE = 12  # pixels from one label to the next


def apart(heights: Mapping[str, float], *, lowest: float) -> dict[str, float]:
    """Return baselines of labels near these heights, at least `LINE` apart.

    Labels are placed from the bottom up; then those above the top would run out of the drawing, so that all are moved
    down by what is missing.

    Args:
        heights: Where each line ends, in pixels from the top.
        lowest: Baseline that no label goes below, unless there are too many.
    """
    placed: dict[str, float] = {}
    free = lowest
    for name, height in sorted(heights.items(), key=lambda pair: -pair[1]):
        placed[name] = min(height + 3, free)
        free = placed[name] - LINE
    missing = LINE - min(placed.values(), default=LINE)
    return {name: at + max(0.0, missing) for name, at in placed.items()}
