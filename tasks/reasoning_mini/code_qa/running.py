"""Run this suite's own snippets, and make versions of them with a small change.

Everything that runs here was written here, is bounded and finishes at once. Programs that a model wrote never come this
way: they go to `harness.sandbox`.
"""

from __future__ import annotations

import ast
import copy
import random
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any


def printed(code: str) -> str | None:
    """Return the output of a snippet, lines joined by spaces; None if it raises an exception."""
    lines: list[str] = []
    space: dict[str, Any] = {"print": lambda *values: lines.append(" ".join(map(str, values)))}
    try:
        exec(compile(code, "<snippet>", "exec"), space)  # noqa: S102 - our own snippet, see above
    except Exception:  # a changed snippet may raise anything; then the version is not used
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


def mutants(code: str, *, words: bool = False) -> list[str]:
    """Return `code` and its versions with one small change, in one style of writing.

    A number is off by one or two, an operator is a similar one, or two neighbours in a list have changed places; with
    `words` also two letters of a word. Numbers in a list stay as they are, so that a result that repeats some of them
    does not show which version it belongs to.
    """
    tree = ast.parse(code)
    versions = [ast.unparse(tree)]
    listed = {id(element) for node in ast.walk(tree) if isinstance(node, ast.List) for element in node.elts}
    for node in ast.walk(tree):
        for name, value in _changes(node, words=words) if id(node) not in listed else ():
            before = getattr(node, name)
            setattr(node, name, value)
            versions.append(ast.unparse(tree))
            setattr(node, name, before)
    return list(dict.fromkeys(versions))


def _changes(node: ast.AST, *, words: bool) -> Iterator[tuple[str, Any]]:
    """Yield attributes of a node with values that they may have instead."""
    if isinstance(node, ast.Constant) and type(node.value) is int:
        yield from (("value", node.value + step) for step in (1, -1, 2, -2))
    elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isalpha() and words:
        yield from (("value", "".join(word)) for word in _swapped(node.value))
    elif isinstance(node, ast.List):
        yield from (("elts", elements) for elements in _swapped(node.elts))
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in _SWAPS:
        yield "ops", [_SWAPS[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(node.op) in _SWAPS:
        yield "op", _SWAPS[type(node.op)]()


def _swapped(parts: Sequence[Any]) -> Iterator[list[Any]]:
    """Yield the parts with two neighbours exchanged."""
    for i in range(len(parts) - 1):
        yield [*parts[:i], parts[i + 1], parts[i], *parts[i + 2 :]]


def shuffled(rng: random.Random, argument: Any) -> Any:
    """Return `argument` with its parts in another order."""
    if isinstance(argument, int):
        return int(argument)
    if isinstance(argument, dict):
        return dict(zip(argument, rng.sample(list(argument.values()), len(argument)), strict=True))
    parts = argument.split() if isinstance(argument, str) else list(argument)
    rng.shuffle(parts)
    return " ".join(parts) if isinstance(argument, str) else parts


def altered(rng: random.Random, argument: Any, other: Any) -> Any:
    """Return `argument` with one part replaced by a part of `other`; dictionaries exchange their values."""
    if isinstance(argument, int):
        digits = list(str(argument))
        digits[rng.randrange(1, len(digits))] = str(rng.randrange(10))
        return int("".join(digits))
    if isinstance(argument, dict):
        return shuffled(rng, argument)
    parts = argument.split() if isinstance(argument, str) else list(argument)
    others = other.split() if isinstance(other, str) else list(other)
    parts[rng.randrange(len(parts))] = rng.choice([part for part in others if part not in parts] or others)
    return " ".join(parts) if isinstance(argument, str) else parts
