"""The process that runs the solution. It answers the tests' requests and never sees an expected value.

Nothing here can be trusted once the solution has run, but whatever the solution patches, it can only change the values
that its own functions return.
"""

from __future__ import annotations

import _thread
import ast
import builtins
import importlib
import io
import os
import sys
import types
from typing import Any

from . import link, wire
from .remote import Remote

CPU_COUNT = 4


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
    if setup:
        exec(compile(setup, "<setup>", "exec"), namespace)  # noqa: S102
    return namespace


class TestsStream(io.TextIOBase):
    """Stands for a stream that the tests have put in place of a standard stream."""

    def __init__(self, channel: SolutionLink, name: str) -> None:
        self.channel, self.name = channel, name

    def write(self, text: str) -> int:
        """Write to the tests' stream."""
        self.channel.operate("write", self.name, text)
        return len(text)

    def readline(self, *_: Any) -> str:  # type: ignore[override]
        """Read a line from the tests' standard input."""
        return str(self.channel.operate("readline"))

    def read(self, *_: Any) -> str:
        """Read all that is left."""
        return "".join(iter(self.readline, ""))


class SolutionLink(link.Link):
    """The solution's end of the channel."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor)
        self.namespace: dict[str, Any] = {}
        # Threads of the solution may call functions of the tests. Not by `threading`: once it is imported, each fork
        # takes twice as long.
        self.lock = _thread.RLock()

    # Requests and their replies. `sort` is entry 0 of the table and `f` is entry 1.
    #     ["load", "def sort(x): ...", "", ["sort"]]         solution, setup, names that the tests use
    #         -> ["value", {"sort": ["ref", [0, "object", "function", null]]}, null]
    #     ["do", "call", [["home", 0], ["list", [3, 1]]], []]      sort([3, 1]): operation, arguments, keyword arguments
    #         -> ["value", null, [["ref", ...], ["list", [1, 3]]]]     result, the arguments afterwards
    #     ["do", "call", [["home", 1], -2], []]              f(-2)
    #         -> ["raised", [[4, "class", "Bad", "ValueError"], "negative", ["tuple", ["negative"]], 9, null]]
    #     ["name", "helper"]                                 from solution import helper
    #     ["with streams", [true, false, false], request]    the tests have replaced sys.stdout
    def answer(self, request: list[Any]) -> list[Any]:
        """Answer one request."""
        if request[0] == "with streams":
            return self._answer_with_streams(*request[1:])
        if request[0] in ("load", "name"):
            try:
                return ["value", self._load(*request[1:]) if request[0] == "load" else self._named(request[1]), None]
            except BaseException as error:
                return ["raised", self.describe(error)]
        return super().answer(request)

    def _load(self, solution: str, setup: str, names: list[str]) -> dict[str, Any]:
        self.namespace = load(solution, setup)
        return {name: self._named(name) for name in names if name in self.namespace}

    def _named(self, name: str) -> Any:
        if name not in self.namespace:
            raise AttributeError(f"the solution does not define {name!r}")
        return wire.encode(self.namespace[name], self.export)

    def _answer_with_streams(self, replaced: list[bool], request: list[Any]) -> list[Any]:
        """Answer a request while standard streams lead to the tests' own."""
        own = sys.stdout, sys.stderr, sys.stdin, builtins.input
        if replaced[0]:
            sys.stdout = TestsStream(self, "stdout")
        if replaced[1]:
            sys.stderr = TestsStream(self, "stderr")
        if replaced[2]:
            sys.stdin = TestsStream(self, "stdin")
            builtins.input = lambda *prompt: self.operate("input", *prompt)
        try:
            return self.answer(request)
        finally:
            sys.stdout, sys.stderr, sys.stdin, builtins.input = own

    def request(self, message: list[Any]) -> tuple[Any, Any]:
        """Ask the tests for something."""
        with self.lock:
            return super().request(message)

    def module(self, name: str) -> Any:
        """Return this process's own module."""
        return importlib.import_module(name)

    def exception_class(self, remote: Remote | None, name: str, base: str) -> Any:
        """Return the builtin exception `name`, or a class for one that the tests define."""
        parent = getattr(builtins, base)
        return parent if parent.__name__ == name else type(name, (parent,), {"_sandbox_remote": remote})

    def exception(self, described: list[Any]) -> BaseException:
        """Return an exception to raise here for one that a function of the tests raised."""
        if described[0] == "home":
            error: BaseException = self.objects[described[1]]
            return error
        reference, text, arguments, number, _ = described
        kind = self.stand_in(reference)
        try:
            error = kind(*wire.decode(arguments, self.resolve))
        except Exception:
            error = RuntimeError(text)
        vars(error)["_sandbox_remote"] = Remote(self, number, reference[2])
        return error


def serve(descriptor: int) -> None:
    """Answer requests until the tests close the channel. The first request loads the solution."""
    # On a machine with many processors, programs that start a process or thread for each would reach their limit.
    count = min(os.cpu_count() or 1, CPU_COUNT)
    os.cpu_count = os.process_cpu_count = lambda: count  # type: ignore[attr-defined,unused-ignore]
    os.register_at_fork(
        after_in_child=sys.modules["random"].seed
    )  # what `random` does itself, see `server.import_warm`
    channel = SolutionLink(descriptor)
    while True:
        try:
            request = wire.receive(descriptor)
        except wire.Closed:
            os._exit(0)
        try:
            reply = channel.answer(request)
        except link.Gone:
            os._exit(0)
        wire.send(descriptor, reply)
