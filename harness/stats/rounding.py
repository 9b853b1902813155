"""What is 0 but for rounding: sums of equal means differ from 0 by about 1e-17."""

from __future__ import annotations

from collections.abc import Sequence

RELATIVE = 1e-12


def without_rounding(numbers: Sequence[float], scale: float) -> tuple[float, ...]:
    """Return the numbers, with 0 for those below 1e-12 of the terms that they are sums of.

    Args:
        numbers: Sums or their errors.
        scale: The sum of the terms' sizes.
    """
    return tuple(0.0 if abs(number) <= RELATIVE * scale else number for number in numbers)
