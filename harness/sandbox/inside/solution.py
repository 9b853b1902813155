"""The process that runs the solution: it answers the tests' requests and knows none of their expected values.

Nothing here is trusted once the solution has run: whatever it patches, it can only change the values that its own
functions return.
"""

from __future__ import annotations

import ast
import builtins
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from . import wire


class ObjectTable:
    """The objects that the tests hold a reference to, by number."""

    def __init__(self) -> None:
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}

    def export(self, value: Any) -> list[Any]:
        """Name `value` for the other side: ``[number, kind, name, base exception or None]``."""
        if isinstance(value, types.ModuleType):
            return [-1, "module", value.__name__, None]
        number = self.numbers.setdefault(id(value), len(self.objects))
        if number == len(self.objects):
            self.objects.append(value)
        if isinstance(value, type):
            return [number, "class", value.__name__, builtin_exception(value)]
        return [number, "object", type(value).__name__, None]

    def resolve(self, reference: list[Any]) -> Any:
        """Find the object that a reference of ours names."""
        return self.objects[reference[0]]


def builtin_exception(kind: type) -> str | None:
    """Name the builtin exception that `kind` is or derives from."""
    names = [base.__name__ for base in kind.__mro__ if base.__module__ == "builtins"]
    return names[0] if issubclass(kind, BaseException) else None


# What the tests may do with an object that stays on this side.
OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda target, *args, **kwargs: target(*args, **kwargs),
    "getattr": getattr,
    "setattr": setattr,
    "delattr": delattr,
    "getitem": lambda target, key: target[key],
    "setitem": lambda target, key, value: target.__setitem__(key, value),
    "delitem": lambda target, key: target.__delitem__(key),
    "enter": lambda target: target.__enter__(),
    "exit": lambda target, *args: target.__exit__(*args),
    "isinstance": lambda target, value: isinstance(value, target),
    "equal": lambda target, value: bool(target == value),
    **{f.__name__: f for f in (iter, next, len, bool, str, repr, int, float)},
}


def imports_of(text: str) -> list[ast.stmt]:
    """The import statements at the top level of `text`."""
    return [node for node in ast.parse(text).body if isinstance(node, (ast.Import, ast.ImportFrom))]


def load(solution: str, setup: str) -> dict[str, Any]:
    """Run the setup's imports, the solution and the setup, in this order, in one fresh module."""
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    namespace = module.__dict__
    namespace["__builtins__"] = builtins
    if setup:
        exec(compile(ast.Module(imports_of(setup), []), "<setup>", "exec"), namespace)  # noqa: S102 - the sandbox's very purpose
    exec(compile(solution, "<solution>", "exec"), namespace)  # noqa: S102
    exec(compile(setup, "<setup>", "exec"), namespace)  # noqa: S102
    return namespace


def operate(table: ObjectTable, name: str, sent: list[Any], keywords: list[Any]) -> list[Any]:
    """Do one operation; returns its value and, if it changed its arguments, what they are now."""
    values = wire.decode(["list", sent], table.resolve)
    keyword_values = wire.decode(["dict", keywords], table.resolve)
    result = wire.encode(OPERATIONS[name](*values, **keyword_values), table.export)
    after = [wire.encode(value, table.export) for value in values]
    return ["value", result, None if after == sent else after]


def raised(table: ObjectTable, error: BaseException) -> list[Any]:
    """Say what was raised: its class, and its text."""
    try:
        text = str(error)
    except BaseException:
        text = ""
    return ["raised", table.export(type(error)), text[:2000]]


def serve(channel: int) -> None:
    """Answer the tests' requests until they are over. The first one brings the program."""
    table = ObjectTable()
    while True:
        try:
            request = wire.receive(channel)
        except wire.Closed:
            os._exit(0)
        try:
            if request[0] == "load":
                namespace = load(request[1], request[2])
                definitions = {
                    name: wire.encode(namespace[name], table.export) for name in request[3] if name in namespace
                }
                reply: list[Any] = ["value", definitions, None]
            else:
                reply = operate(table, *request)
        except BaseException as error:  # SystemExit and all others are for the tests to judge
            reply = raised(table, error)
        wire.send(channel, reply)
