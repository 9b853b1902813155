"""The comparisons within one factor, as weights of its levels: with the reference level, and the slope of numbers.

Examples::

    slope_line("share", ["0", "10", "20"]).weights        # {"0": -0.05, "10": 0.0, "20": 0.05}
    level_lines("schedule", ["uniform", "early"])[0].name  # "schedule: early-uniform"
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

# Factors whose numbers are parameter counts, so that the slope is over their logarithm.
_SIZES = re.compile(r"(model_?)?(size|parameters|params)")
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One comparison of a factor's levels.

    Attributes:
        name: Its name in tables.
        label: Its name within the name of an interaction.
        weights: By level; they sum to 0.
        meaning: What it compares, in words.
    """

    name: str
    label: str
    weights: Mapping[str, float]
    meaning: str


def level_lines(name: str, levels: Sequence[str]) -> list[Line]:
    """Return each level against the first."""
    reference = levels[0]
    return [
        Line(
            name=f"{name}: {level}-{reference}",
            label=f"{name} {level}-{reference}",
            weights={reference: -1.0, level: 1.0},
            meaning=f"{name} {level} against {reference}",
        )
        for level in levels[1:]
    ]


def slope_line(name: str, levels: Sequence[str]) -> Line | None:
    """Return the least-squares slope of a numeric factor; None for any other (see `numeric_levels`)."""
    doses = numeric_levels(name, levels)
    if doses is None:
        return None
    mean = sum(doses) / len(doses)
    spread = sum((dose - mean) ** 2 for dose in doses)
    unit = f"ln({name})" if _is_size(name, levels) else name
    return Line(
        name=f"{name}: slope",
        label=f"{name} slope",
        weights={level: (dose - mean) / spread for level, dose in zip(levels, doses, strict=True)},
        meaning=f"change per unit of {unit}, least squares over its levels",
    )


def interaction_lines(name: str, levels: Sequence[str]) -> list[Line]:
    """Return what stands for a factor in an interaction: its difference, its slope, or each level against the first."""
    if len(levels) == 2:
        reference, other = levels
        weights = {reference: -1.0, other: 1.0}
        return [Line(name=name, label=name, weights=weights, meaning=f"{name} {other} against {reference}")]
    slope = slope_line(name, levels)
    return [slope] if slope is not None else level_lines(name, levels)


def numeric_levels(name: str, levels: Sequence[str]) -> list[float] | None:
    """Return the numbers of a numeric factor of three levels or more; None for any other.

    Parameter counts (``135M``, ``2.6B``, or a factor called size or parameters) become natural logarithms.
    """
    parsed = [re.fullmatch(r"([-+]?[\d.]+(?:e[-+]?\d+)?)([kmbt]?)", level.strip().lower()) for level in levels]
    try:
        numbers = [float(match[1]) * _UNITS[match[2]] for match in parsed if match is not None]
    except ValueError:
        return None
    if len(numbers) < max(3, len(levels)) or len(set(numbers)) < len(numbers):
        return None
    if _is_size(name, levels):
        return [math.log(number) for number in numbers] if min(numbers) > 0 else None
    return numbers


def _is_size(name: str, levels: Sequence[str]) -> bool:
    return _SIZES.fullmatch(name.lower()) is not None or any(level.strip()[-1:].lower() in "kmbt" for level in levels)
