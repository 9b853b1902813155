"""The process that runs the solution. It answers the tests' requests and never sees an expected value.

Nothing here can be trusted once the solution has run, but whatever the solution patches, it can only change the values
that its own functions return.
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
    """The solution's objects that the tests hold a reference to, by number.

    Entries are never removed while the process lives, so that the ``id`` of an entry is not reused for another object.
    """

    def __init__(self) -> None:
        self.objects: list[Any] = []
        self.numbers: dict[int, int] = {}  # id of an object: its number

    def export(self, value: Any) -> list[Any]:
        """Return a reference to `value`: ``[number, kind, name, builtin base exception or None]``.

        A function is ``[0, "object", "function", None]``, an exception class ``[4, "class", "Bad", "ValueError"]``, a
        module ``[-1, "module", "math", None]``: the tests import a module themselves.
        """
        if isinstance(value, types.ModuleType):
            return [-1, "module", value.__name__, None]
        number = self.numbers.setdefault(id(value), len(self.objects))
        if number == len(self.objects):
            self.objects.append(value)
        if isinstance(value, type):
            return [number, "class", value.__name__, builtin_exception(value)]
        return [number, "object", type(value).__name__, None]

    def resolve(self, reference: list[Any]) -> Any:
        """Return the object that a reference names."""
        return self.objects[reference[0]]


def builtin_exception(kind: type) -> str | None:
    """Return the name of the builtin exception that `kind` is or derives from; None if it is not an exception."""
    names = [base.__name__ for base in kind.__mro__ if base.__module__ == "builtins"]
    return names[0] if issubclass(kind, BaseException) else None


# What the tests may do with an object that stays in this process.
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
    """Return the import statements at the top level of `text`."""
    return [node for node in ast.parse(text).body if isinstance(node, (ast.Import, ast.ImportFrom))]


def load(solution: str, setup: str) -> dict[str, Any]:
    """Run the setup's imports, the solution and the setup, in this order, in a new module; returns its namespace.

    The imports come first because a solution may use a name such as ``List`` without importing it. The setup itself
    comes last because it builds objects of the solution's classes.
    """
    module = types.ModuleType("solution")
    sys.modules["solution"] = module
    namespace = module.__dict__
    namespace["__builtins__"] = builtins
    if setup:
        exec(compile(ast.Module(imports_of(setup), []), "<setup>", "exec"), namespace)  # noqa: S102 - in the sandbox
    exec(compile(solution, "<solution>", "exec"), namespace)  # noqa: S102
    exec(compile(setup, "<setup>", "exec"), namespace)  # noqa: S102
    return namespace


def operate(table: ObjectTable, name: str, encoded: list[Any], keywords: list[Any]) -> list[Any]:
    """Do one operation; the reply holds its value and, if encoded differently now, the arguments."""
    values = wire.decode(["list", encoded], table.resolve)
    keyword_values = wire.decode(["dict", keywords], table.resolve)
    result = wire.encode(OPERATIONS[name](*values, **keyword_values), table.export)
    # The arguments crossed as copies. The tests may check that a list was sorted in place, so the copies go back.
    after = [wire.encode(value, table.export) for value in values]
    return ["value", result, None if after == encoded else after]


def raised(table: ObjectTable, error: BaseException) -> list[Any]:
    """Return the reply for an exception: its class and its text."""
    try:
        text = str(error)
    except BaseException:
        text = ""
    return ["raised", table.export(type(error)), text[:2000]]


# Requests and their replies. `sort` is entry 0 of the table and `f` is entry 1; `remote.Channel` sends the requests.
#     ["load", "def sort(x): ...", "", ["sort"]]         solution, setup, names that the tests use
#         -> ["value", {"sort": ["ref", [0, "object", "function", null]]}, null]
#     ["call", [["ref", [0]], ["list", [3, 1]]], []]     sort([3, 1]): operation, arguments, keyword arguments
#         -> ["value", null, [["ref", ...], ["list", [1, 3]]]]     result, the arguments afterwards
#     ["call", [["ref", [1]], -2], []]                   f(-2)
#         -> ["raised", [4, "class", "Bad", "ValueError"], "negative"]
def serve(channel: int) -> None:
    """Answer requests until the tests close the channel. The first request loads the solution."""
    table = ObjectTable()
    while True:
        try:
            request = wire.receive(channel)
        except wire.Closed:
            os._exit(0)
        try:
            if request[0] == "load":
                namespace = load(request[1], request[2])
                reply: list[Any] = [
                    "value",
                    {name: wire.encode(namespace[name], table.export) for name in request[3] if name in namespace},
                    None,
                ]
            else:
                reply = operate(table, *request)
        except BaseException as error:  # the tests decide what an exception means, even SystemExit
            reply = raised(table, error)
        wire.send(channel, reply)
