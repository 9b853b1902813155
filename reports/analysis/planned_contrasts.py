"""Which contrasts `harness power` plans: those that `harness compare --design` will test, as shapes of level weights.

A 2 x 2 has both main effects and the interaction. A main factor of several levels has each level against its reference,
at Dunnett's level, and if it is numeric the slope: the change over the whole range of its levels, in points like the
others. A further factor has the same, as a mean over the main factors' levels.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from harness.reports.analysis.contrasts import INTERACTION
from harness.reports.analysis.factor_lines import Line, interaction_lines, level_lines, numeric_levels, slope_line
from harness.stats.shapes import FIRST, SECOND, Shape, Weights, mean_of

RANGE = "whole range"
Factors = Mapping[str, Sequence[str]]
Kinds = dict[str, str | Shape]


def planned_contrasts(factors: Factors, main: Sequence[str], between: Collection[str]) -> Kinds:
    """Return the contrasts by name, in the order of the tables.

    Args:
        factors: Levels by factor, the reference first.
        main: The main factors, one or two.
        between: The factors whose levels have pre-training runs of their own.
    """
    first = [name for name in main if name in between]
    if [len(factors[name]) for name in main] == [2, 2] and len(first) == 1:
        (second,) = (name for name in main if name not in first)
        kinds: Kinds = {first[0]: FIRST, second: SECOND, INTERACTION: INTERACTION}
    else:
        kinds = _main_effects(factors, main, between)
    for name in factors:
        if name not in main:
            kinds |= _of_factor(name, factors, main, between)
    return kinds


def _main_effects(factors: Factors, main: Sequence[str], between: Collection[str]) -> Kinds:
    kinds: Kinds = {}
    for name in main:
        kinds |= _of_factor(name, factors, main, between)
    if len(main) == 2:
        lines = [interaction_lines(name, factors[name]) for name in main]
        one, two = (_typical(own, name, factors) for own, name in zip(lines, main, strict=True))
        simple = all(len(factors[name]) == 2 for name in main)
        label = INTERACTION if simple else f"{INTERACTION}: {one.label} x {two.label}"
        weights = {main[0]: one.weights, main[1]: two.weights}
        kinds[label] = _shape(weights, factors, main, between, tests=len(lines[0]) * len(lines[1]))
    return kinds


def _of_factor(name: str, factors: Factors, main: Sequence[str], between: Collection[str]) -> Kinds:
    """Return a level against the reference, which stands for all of them, and the slope."""
    levels = factors[name]
    averaged = tuple(dict.fromkeys((*main, name)))
    lines = level_lines(name, levels)
    line = _typical(lines, name, factors)
    own_name = name if len(lines) == 1 and name in main else line.name
    kinds: Kinds = {own_name: _shape({name: line.weights}, factors, averaged, between, tests=len(lines))}
    slope = slope_line(name, levels)
    if slope is not None:
        whole = _typical([slope], name, factors)
        kinds[whole.name] = _shape({name: whole.weights}, factors, averaged, between)
    return kinds


def _typical(lines: Sequence[Line], name: str, factors: Factors) -> Line:
    """Return the one line, a slope per range of the levels; of several, which all have the same power, the first."""
    line, reference = lines[0], factors[name][0]
    if len(lines) > 1:
        return replace(line, name=f"{name}: each level-{reference}", label=f"{name} each level-{reference}")
    slope = slope_line(name, factors[name])
    doses = numeric_levels(name, factors[name])
    if slope is None or doses is None or line.name != slope.name:
        return line
    span = max(doses) - min(doses)
    weights = {level: weight * span for level, weight in line.weights.items()}
    return replace(line, name=f"{line.name}, {RANGE}", label=f"{line.label}, {RANGE}", weights=weights)


def _shape(
    weights: Mapping[str, Mapping[str, float]],
    factors: Factors,
    averaged: Sequence[str],
    between: Collection[str],
    *,
    tests: int = 1,
) -> Shape:
    """Return the contrast with these weights of some factors, and the mean over the levels of the others."""
    by_factor: dict[str, Weights] = {
        name: tuple(weights[name].get(level, 0.0) for level in factors[name])
        if name in weights
        else mean_of(len(factors[name]))
        for name in averaged
    }
    return Shape(
        between=tuple(own for name, own in by_factor.items() if name in between),
        within=tuple(own for name, own in by_factor.items() if name not in between),
        tests=tests,
    )
