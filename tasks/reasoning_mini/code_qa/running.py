"""Run this suite's own snippets, and variants with a small change, for keys and plausible wrong answers.

Everything that runs here was written here, is bounded and finishes at once. Programs that a model wrote never come this
way: they go to `harness.sandbox`.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator
from functools import lru_cache
from typing import Any


def printed(code: str | ast.Module) -> str | None:
    """Return the output of a snippet, lines joined by spaces; None if it raises an exception."""
    lines: list[str] = []
    space: dict[str, Any] = {"print": lambda *values: lines.append(" ".join(map(str, values)))}
    try:
        exec(compile(code, "<snippet>", "exec"), space)  # noqa: S102 - our own snippet, see above
    except Exception:  # a changed snippet may raise anything; then it gives no distractor
        return None
    return " ".join(lines)


def returned(source: str, name: str, argument: Any) -> Any:
    """Return the result of function `name` in `source` for one argument."""
    return _function(source, name)(copy.deepcopy(argument))


@lru_cache(maxsize=8)
def _function(source: str, name: str) -> Any:
    space: dict[str, Any] = {}
    exec(compile(source, "<function>", "exec"), space)  # noqa: S102 - our own function, see above
    return space[name]


_SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Add,
    ast.Mod: ast.FloorDiv,
    ast.FloorDiv: ast.Mod,
    ast.And: ast.Or,
    ast.Or: ast.And,
}


def mutants(rng: random.Random, code: str) -> Iterator[ast.Module]:
    """Yield versions of `code` with one small change: a number off by one, or an operator for a similar one.

    The tree is changed in place and restored, so use each version before requesting the next.
    """
    tree = ast.parse(code)
    sites = [
        node
        for node in ast.walk(tree)
        if isinstance(node, (ast.Constant, ast.BinOp, ast.AugAssign, ast.Compare, ast.BoolOp))
    ]
    rng.shuffle(sites)
    for node in sites:
        if isinstance(node, ast.Constant):
            if type(node.value) is int:
                value = node.value
                for changed in (value + 1, value - 1):
                    node.value = changed
                    yield tree
                node.value = value
        elif isinstance(node, ast.Compare):
            before = node.ops
            if type(before[0]) in _SWAPS:
                node.ops = [_SWAPS[type(before[0])](), *before[1:]]  # type: ignore[list-item]
                yield tree
                node.ops = before
        elif type(node.op) in _SWAPS:
            operator = node.op
            node.op = _SWAPS[type(operator)]()  # type: ignore[assignment]
            yield tree
            node.op = operator


def near_misses(rng: random.Random, text: str) -> list[str]:
    """Return answers that look like `text`, if the changed snippets give too few."""
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        value = text
    if isinstance(value, bool) or value is None:
        return [str(other) for other in (True, False, None, 0, 1)]
    if isinstance(value, int):
        return [str(value + d) for d in rng.sample((-3, -2, -1, 1, 2, 3), 6)]
    if isinstance(value, list):
        return [repr(v) for v in _near_lists(rng, value)]
    if isinstance(value, str):
        quote = repr if value != text else str
        return [quote(v) for v in _near_texts(rng, value) if v == v.strip() != ""]
    return []


def _near_texts(rng: random.Random, text: str) -> list[str]:
    parts = text.split()
    if len(parts) > 1 and all(part.isdigit() for part in parts):  # several numbers on a line
        numbers = [int(part) for part in parts]
        changed = [
            [n + d if i == place else n for i, n in enumerate(numbers)] for place in range(2) for d in (-1, 1, 2)
        ]
        return [" ".join(map(str, line)) for line in rng.sample(changed, len(changed))]
    return [text[:-1], text[1:], text[::-1], text[1:] + text[:1], text + text[-1:]]


def _near_lists(rng: random.Random, values: list[Any]) -> list[list[Any]]:
    found = [values[:-1], values[1:], values[::-1], sorted(values, reverse=True), values + values[-1:]]
    if values and all(type(v) is int for v in values):
        place = rng.randrange(len(values))
        found += [[v + d if i == place else v for i, v in enumerate(values)] for d in (-1, 1)]
        found += [[0]]
    if not values:
        found += [[0], [1], [[]], ["a"]]
    return found


def altered(rng: random.Random, argument: Any, other: Any) -> Any:
    """Return `argument` with one part replaced by a part of `other`, or moved to another place."""
    if isinstance(argument, int):
        digits = list(str(argument))
        digits[rng.randrange(1, len(digits))] = str(rng.randrange(10))
        return int("".join(digits))
    if isinstance(argument, dict):
        return dict(zip(argument, rng.sample(list(argument.values()), len(argument)), strict=True))
    parts = argument.split() if isinstance(argument, str) else list(argument)
    others = other.split() if isinstance(other, str) else list(other)
    if rng.random() < 0.5:
        rng.shuffle(parts)
    else:
        parts[rng.randrange(len(parts))] = rng.choice([part for part in others if part not in parts] or others)
    return " ".join(parts) if isinstance(argument, str) else parts
