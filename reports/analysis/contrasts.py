"""Which contrasts a design has: those of its two main factors, and of further factors.

The first two factors are the main ones. If both have two levels, their contrasts are those of a 2 x 2, averaged over
the levels of the further factors at which all four cells have runs. Otherwise, with shares 0, 10, 25 and 50:

    share: 10-0, share: 25-0, share: 50-0   main effect of share, level by level (one set, corrected by Dunnett)
    share: slope                            main effect of share, per unit
    tune                                    main effect of tune
    interaction: share slope x tune         how much the effect of tune grows per unit of share

A factor of words has no slope, so its interaction is a set too, such as `interaction: schedule early-uniform x tune`.
A factor is compared at those levels of the others at which both levels have runs.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.errors import InputError
from harness.reports.analysis.factor_lines import Line, interaction_lines, level_lines, slope_line
from harness.stats.factorial import two_by_two

PRIMARY, EXPLORATORY = "primary", "exploratory"
INTERACTION = "interaction"
Cell = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ContrastSpec:
    """One contrast of cell means.

    Attributes:
        name: Its name in tables.
        kind: ``primary`` for the main effects and the interaction of the main factors, else ``exploratory``.
        coefficients: By cell.
        meaning: What it compares, in words.
        factor: Name of the set of comparisons that Dunnett's p corrects together: the factor whose levels are compared
            with its reference, or the interaction with it. Empty for a single contrast.
    """

    name: str
    kind: str
    coefficients: Mapping[Cell, float]
    meaning: str
    factor: str = ""


def main_factors(factors: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """Return the first two factors; one if the design has one."""
    return tuple(factors)[:2]


def is_two_by_two(factors: Mapping[str, Sequence[str]]) -> bool:
    """Return whether the main factors are two, with two levels each."""
    return [len(factors[name]) for name in main_factors(factors)] == [2, 2]


def cell_label(cell: Cell, factors: Mapping[str, Sequence[str]]) -> str:
    """Return a short name: ``NC`` for the reference level of the first and the other level of the second factor.

    If a main factor has more levels, the name is made of the levels: ``25/C``.
    """
    if not is_two_by_two(factors):
        return "/".join(cell)
    names = list(factors)
    main = main_factors(factors)
    letters = "".join("NC"[factors[name].index(cell[names.index(name)])] for name in main)
    rest = [level for name, level in zip(names, cell, strict=True) if name not in main]
    return "/".join([letters, *rest])


def design_contrasts(
    factors: Mapping[str, Sequence[str]], cells: Collection[Cell], notes: list[str]
) -> list[ContrastSpec]:
    """Return all contrasts that the cells allow; what a factor of several levels lacks is noted.

    Args:
        factors: Levels by factor, the reference first.
        cells: The cells that have runs.
        notes: Remarks are added to it.

    Raises:
        InputError: A cell of the 2 x 2 has no run, or no two runs differ in a main factor only.
    """
    main = main_factors(factors)
    specs: list[ContrastSpec] = []
    if is_two_by_two(factors):
        specs += _two_by_two(factors, cells)
    else:
        for name in main:
            specs += _main_effect(name, factors, cells, notes)
        if len(main) == 2:
            specs += _interactions(main[0], main[1], factors, cells, notes)
    for name in factors:
        if name not in main:
            specs += _levels(name, factors, cells, notes)
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


def _main_effect(
    name: str, factors: Mapping[str, Sequence[str]], cells: Collection[Cell], notes: list[str]
) -> list[ContrastSpec]:
    """Return the difference of a factor of two levels; of one with more, its levels and its slope."""
    reference, *others = factors[name]
    if len(others) > 1:
        specs = [replace(one, kind=PRIMARY) for one in _levels(name, factors, cells, notes)]
    else:
        (line,) = interaction_lines(name, factors[name])
        spread = _over_strata({(level,): c for level, c in line.weights.items()}, (name,), factors, cells)
        specs = [ContrastSpec(name=name, kind=PRIMARY, coefficients=spread, meaning=line.meaning)] if spread else []
    if not specs:
        words = " and with ".join([reference, others[0]] if len(others) == 1 else [reference, "another level"])
        raise InputError(f"{name}: no two runs differ in {name} only; add runs with {words}.")
    return specs


def _interactions(
    first: str, second: str, factors: Mapping[str, Sequence[str]], cells: Collection[Cell], notes: list[str]
) -> list[ContrastSpec]:
    """Return the interaction of two factors: the product of their slopes, or of their levels against the reference.

    Shares 0, 1, 2 and tune N, C: the slope's weights are -1/2, 0, 1/2 and tune's -1, 1, so the product is

               N     C
        0     1/2  -1/2
        1      0     0
        2    -1/2   1/2
    """
    pairs = list(
        itertools.product(interaction_lines(first, factors[first]), interaction_lines(second, factors[second]))
    )
    specs = []
    for one, two in pairs:
        product: dict[Cell, float] = {(i, j): a * b for i, a in one.weights.items() for j, b in two.weights.items()}
        spread = _over_strata(product, (first, second), factors, cells)
        name = f"{INTERACTION}: {one.label} x {two.label}"
        if not spread:
            notes.append(f"{name}: not tested, because not all its levels have runs at one level of the other factors.")
            continue
        specs.append(
            ContrastSpec(
                name=name,
                kind=PRIMARY,
                coefficients=spread,
                meaning=f"interaction of ({one.meaning}) and ({two.meaning})",
                factor=f"{INTERACTION}: {first} x {second}" if len(pairs) > 1 else "",
            )
        )
    return specs


def _levels(
    name: str, factors: Mapping[str, Sequence[str]], cells: Collection[Cell], notes: list[str]
) -> list[ContrastSpec]:
    """Each level of a factor against its reference, and the slope of a numeric one."""
    reference = factors[name][0]

    def spec(line: Line, factor: str) -> list[ContrastSpec]:
        spread = _over_strata({(level,): c for level, c in line.weights.items()}, (name,), factors, cells)
        one = ContrastSpec(name=line.name, kind=EXPLORATORY, coefficients=spread, meaning=line.meaning, factor=factor)
        return [one] if spread else []

    specs = []
    for level, line in zip(factors[name][1:], level_lines(name, factors[name]), strict=True):
        compared = spec(line, name)
        if not compared:
            notes.append(f"{name}: {level} has no runs that differ from {reference} in {name} only; not compared.")
        specs += compared
    slope = slope_line(name, factors[name])
    if slope is not None:
        fitted = spec(slope, "")
        if not fitted:
            notes.append(f"{name}: no slope, because not all its levels have runs that differ in {name} only.")
        specs += fitted
    return specs
