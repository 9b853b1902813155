"""Factors: fill placeholders in a stage's fields, once for each combination of the levels that it uses.

    factors: {code: {N: 0, C: 1}, seed: [0, 1]}
    {"seed": "{seed}", "mixture": {"weights": {"text": 1, "code": "{code}"}}}
    ->  code=C, seed=1:  {"seed": 1, "mixture": {"weights": {"text": 1, "code": 1}}}

A text that is one placeholder becomes the level's value, of whatever type; within a longer text the value's text is
inserted. ``{code.share}`` is an entry of a level that is a mapping. ``{{x}}`` stands for ``{x}``.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from harness.errors import SpecError, did_you_mean

PLACEHOLDER = re.compile(r"\{\{|\}\}|\{([A-Za-z_][\w.-]*)\}")
STAGES = "stages"  # {stages.base} is the folder of that stage's checkpoint
Cell = Mapping[str, str]
"""One level's name per factor, such as ``{"code": "C", "seed": "1"}``."""


def placeholders(value: Any) -> Iterator[str]:
    """Yield the names of the placeholders in the texts of a value."""
    if isinstance(value, Mapping):
        for inner in value.values():
            yield from placeholders(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from placeholders(inner)
    elif isinstance(value, str):
        yield from filter(None, PLACEHOLDER.findall(value))


def cells(factors: Mapping[str, Mapping[str, Any]], used: set[str]) -> list[Cell]:
    """Return every combination of the levels of the factors in `used`, in the order of the file; one without any."""
    names = [name for name in factors if name in used]
    return [
        dict(zip(names, levels, strict=True)) for levels in itertools.product(*(list(factors[name]) for name in names))
    ]


def fill(value: Any, lookup: Callable[[str], Any]) -> Any:
    """Return a value with its placeholders filled by what `lookup` returns for their names.

    Raises:
        SpecError: a key has a placeholder.
    """
    if isinstance(value, Mapping):
        for key in value:
            if any(PLACEHOLDER.findall(key)):
                raise SpecError(f"{key}: a key is not filled; use placeholders in values only.")
        return {key: fill(inner, lookup) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, lookup) for inner in value]
    if not isinstance(value, str):
        return value
    whole = PLACEHOLDER.fullmatch(value)
    if whole is not None and whole[1]:
        return lookup(whole[1])
    return PLACEHOLDER.sub(lambda match: str(lookup(match[1])) if match[1] else match[0][0], value)


def level_value(factors: Mapping[str, Mapping[str, Any]], cell: Cell, name: str) -> Any:
    """Return what a placeholder of this name stands for in a cell.

    Raises:
        SpecError: there is no such factor, or its level has no such entry.
    """
    factor, *entries = name.split(".")
    if factor not in factors:
        known = ", ".join(factors) or "none"
        raise SpecError(f"{{{name}}}: no such factor; factors are {known}.{did_you_mean(factor, factors)}")
    value = factors[factor][cell[factor]]
    for entry in entries:
        if not isinstance(value, Mapping) or entry not in value:
            raise SpecError(f"{{{name}}}: is not filled by the level {cell[factor]!r} of {factor}; give it {entry}.")
        value = value[entry]
    return value
