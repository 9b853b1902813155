"""Which contrasts a design has: those of its 2 x 2, further factors, and each stage against its parent.

The 2 x 2 are the first two factors of two levels. Its contrasts are averaged over those levels of the further factors
at which all four cells have runs; a further factor is compared at those levels of the others at which both have runs.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from harness.errors import InputError
from harness.stats.factorial import two_by_two

PRIMARY, EXPLORATORY = "primary", "exploratory"
PARENT = "parent"
INTERACTION = "interaction"
Cell = tuple[str, ...]
# Factors whose numbers are parameter counts, so that the slope is over their logarithm.
_SIZES = re.compile(r"(model_?)?(size|parameters|params)")
_UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "b": 1e9, "t": 1e12}


@dataclass(frozen=True, kw_only=True)
class ContrastSpec:
    """One contrast of cell means.

    Attributes:
        name: Its name in tables.
        kind: ``primary`` for the main effects and the interaction of the 2 x 2, else ``exploratory``.
        coefficients: By cell.
        meaning: What it compares, in words.
        factor: The further factor whose levels are compared with its reference; empty otherwise.
    """

    name: str
    kind: str
    coefficients: Mapping[Cell, float]
    meaning: str
    factor: str = ""


def main_factors(factors: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the first two factors of two levels; fewer if the design has fewer."""
    return tuple(name for name, levels in factors.items() if len(levels) == 2)[:2]


def cell_label(cell: Cell, factors: Mapping[str, Sequence[str]]) -> str:
    """Return a short name: ``NC`` for the reference level of the first and the other level of the second factor."""
    names = list(factors)
    main = main_factors(factors)
    if len(main) < 2:
        return "/".join(cell)
    letters = "".join("NC"[factors[name].index(cell[names.index(name)])] for name in main)
    rest = [level for name, level in zip(names, cell, strict=True) if name not in main]
    return "/".join([letters, *rest])


def design_contrasts(
    factors: Mapping[str, Sequence[str]], cells: Collection[Cell], notes: list[str]
) -> list[ContrastSpec]:
    """Return all contrasts that the cells allow; what a further factor lacks is noted.

    Args:
        factors: Levels by factor, the reference first.
        cells: The cells that have runs.
        notes: Remarks are added to it.

    Raises:
        InputError: A cell of the 2 x 2, or a level of the only factor, has no run.
    """
    main = main_factors(factors)
    specs = _two_by_two(factors, cells) if len(main) == 2 else _one_factor(factors, cells, main)
    for name in factors:
        if name not in main:
            specs += _further(name, factors, cells, notes)
    if not specs:
        raise InputError("the design has no two cells that differ in one factor only; add runs that do.")
    return specs


def _strata(name: Sequence[str], factors: Mapping[str, Sequence[str]]) -> list[dict[str, str]]:
    """Return the combinations of levels of all factors but these."""
    others = [other for other in factors if other not in name]
    return [dict(zip(others, levels, strict=True)) for levels in itertools.product(*(factors[o] for o in others))]


def _cell(factors: Mapping[str, Sequence[str]], levels: Mapping[str, str]) -> Cell:
    return tuple(levels[name] for name in factors)


def _over_strata(
    coefficients: Mapping[Cell, float],
    names: Sequence[str],
    factors: Mapping[str, Sequence[str]],
    cells: Collection[Cell],
) -> dict[Cell, float]:
    """Spread a contrast of some factors evenly over the strata in which all its cells have runs; empty if none has."""
    complete = []
    for stratum in _strata(names, factors):
        there = {
            _cell(factors, {**stratum, **dict(zip(names, levels, strict=True))}): c
            for levels, c in coefficients.items()
        }
        if all(cell in cells for cell in there):
            complete.append(there)
    return {cell: c / len(complete) for there in complete for cell, c in there.items()}


def _two_by_two(factors: Mapping[str, Sequence[str]], cells: Collection[Cell]) -> list[ContrastSpec]:
    first, second = main_factors(factors)
    (n1, c1), (n2, c2) = factors[first], factors[second]
    specs = []
    for name, coefficients in two_by_two((n1, c1), (n2, c2), (first, second)).items():
        spread = _over_strata({(*cell,): c for cell, c in coefficients.items()}, (first, second), factors, cells)
        if not spread:
            raise InputError(_missing_cell(first, second, factors, cells))
        kind = PRIMARY if name in (first, second, INTERACTION) else EXPLORATORY
        specs.append(ContrastSpec(name=name, kind=kind, coefficients=spread, meaning=_meaning(name, factors)))
    return specs


def _missing_cell(first: str, second: str, factors: Mapping[str, Sequence[str]], cells: Collection[Cell]) -> str:
    at = [list(factors).index(name) for name in (first, second)]
    there = {(cell[at[0]], cell[at[1]]) for cell in cells}
    for one, two in itertools.product(factors[first], factors[second]):
        if (one, two) not in there:
            return (
                f"no run has {first}={one} and {second}={two}; the 2 x 2 needs a run in each of its four cells. Add "
                f"one, or leave {first} or {second} out of the factors."
            )
    return (
        f"{first} x {second}: no level of the other factors has runs in all four cells; add runs so that one has, or "
        "leave a factor out."
    )


def _meaning(name: str, factors: Mapping[str, Sequence[str]]) -> str:
    first, second = main_factors(factors)
    (n1, c1), (n2, c2) = factors[first], factors[second]
    return {
        first: f"{first} {c1} against {n1}, mean of both levels of {second}",
        second: f"{second} {c2} against {n2}, mean of both levels of {first}",
        INTERACTION: f"effect of {second} at {first} {c1} minus its effect at {first} {n1}",
        "NC-NN": f"{second} {c2} against {n2}, with {first} {n1}",
        "CC-CN": f"{second} {c2} against {n2}, with {first} {c1}",
        "CN-NN": f"{first} {c1} against {n1}, with {second} {n2}",
        "CC-NC": f"{first} {c1} against {n1}, with {second} {c2}",
    }[name]


def _one_factor(
    factors: Mapping[str, Sequence[str]], cells: Collection[Cell], main: Sequence[str]
) -> list[ContrastSpec]:
    """Return the main effect of the only factor of two levels, if there is one."""
    if not main:
        return []
    (name,), (reference, other) = main, factors[main[0]]
    spread = _over_strata({(reference,): -1.0, (other,): 1.0}, (name,), factors, cells)
    if not spread:
        raise InputError(f"{name}: no two runs differ in {name} only; add runs with {reference} and with {other}.")
    return [ContrastSpec(name=name, kind=PRIMARY, coefficients=spread, meaning=f"{name} {other} against {reference}")]


def _further(
    name: str, factors: Mapping[str, Sequence[str]], cells: Collection[Cell], notes: list[str]
) -> list[ContrastSpec]:
    """Each level of a further factor against its reference, and the slope of a numeric one."""
    reference, *levels = factors[name]
    specs = []
    for level in levels:
        spread = _over_strata({(reference,): -1.0, (level,): 1.0}, (name,), factors, cells)
        if not spread:
            notes.append(f"{name}: {level} has no runs that differ from {reference} in {name} only; not compared.")
            continue
        meaning = f"{name} {level} against {reference}"
        specs.append(
            ContrastSpec(
                name=f"{name}: {level}-{reference}",
                kind=EXPLORATORY,
                coefficients=spread,
                meaning=meaning,
                factor=name,
            )
        )
    doses = numeric_levels(name, factors[name])
    if doses is not None:
        mean = sum(doses) / len(doses)
        spread_of = sum((dose - mean) ** 2 for dose in doses)
        line: dict[Cell, float] = {
            (level,): (dose - mean) / spread_of for level, dose in zip(factors[name], doses, strict=True)
        }
        spread = _over_strata(line, (name,), factors, cells)
        unit = f"ln({name})" if _is_size(name, factors[name]) else name
        if spread:
            meaning = f"change per unit of {unit}, least squares over its levels"
            specs.append(ContrastSpec(name=f"{name}: slope", kind=EXPLORATORY, coefficients=spread, meaning=meaning))
        else:
            notes.append(f"{name}: no slope, because not all its levels have runs that differ in {name} only.")
    return specs


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


def parent_contrasts(factors: Mapping[str, Sequence[str]], parents_of: Mapping[Cell, Cell]) -> list[ContrastSpec]:
    """Return each stage against its parent.

    Args:
        factors: Levels by factor.
        parents_of: The cell of the evaluated parents of each cell, such as (``parent``, ``text``).
    """
    return [
        ContrastSpec(
            name=f"{cell_label(cell, factors)}-{PARENT}",
            kind=EXPLORATORY,
            coefficients={cell: 1.0, parent: -1.0},
            meaning=f"{', '.join(f'{n} {level}' for n, level in zip(factors, cell, strict=True))} against its parent",
        )
        for cell, parent in parents_of.items()
    ]
