"""Runs the tests, which are trusted, against a solution in another process, and says how they ended.

Tests are asserts at the top level, functions that are called there, functions ``test_...`` and ``check(candidate)``
that nobody calls, and classes of unittest.
"""

from __future__ import annotations

import ast
import builtins
import errno
import sys
import types
from typing import Any

from . import wire
from .channel import Channel, LimitReached, Unsupported
from .link import Gone
from .parsed_tests import ParsedTests
from .solution import imports_of

_DISK_FULL = tuple(f"OSError: [Errno {number}]" for number in (errno.ENOSPC, errno.EFBIG))


class TestsModule(types.ModuleType):
    """The solution as a module, for tests that import it: ``from solution import f``."""

    def __init__(self, channel: Channel) -> None:
        super().__init__("solution")
        self.__dict__["_channel"] = channel

    def __getattr__(self, name: str) -> Any:
        channel: Channel = self.__dict__["_channel"]
        if name.startswith("__"):
            raise AttributeError(name)
        return wire.decode(channel.request(["name", name])[0], channel.resolve)


def _is_module(definition: Any) -> bool:
    """Whether an encoded definition is a module: those come from this process."""
    return isinstance(definition, list) and definition[:1] == ["module"]


def prepare(
    channel: Channel, solution: str, tests: ParsedTests, setup: str, assertion_lines: list[int]
) -> tuple[Any, dict[str, Any]]:
    """Load the solution; returns the compiled tests and the namespace to run them in.

    Modules come from this process unless the solution has the class of that name (``from datetime import datetime``).
    """
    definitions = channel.load(solution, setup, tests.free)
    # The reply comes from the solution's process, which may add names nobody asked for, such as "__builtins__".
    own = tests.from_solution([name for name in tests.free if name in definitions])
    module = types.ModuleType("__main__")  # for `unittest.main()`
    sys.modules["__main__"] = module
    sys.modules["solution"] = TestsModule(channel)
    namespace = module.__dict__
    namespace |= {"__builtins__": builtins, "__assertion__": assertion_lines.append}
    namespace |= {
        name: wire.decode(definitions[name], channel.resolve) for name in own if not _is_module(definitions[name])
    }
    for name in tests.modules():
        if not isinstance(namespace.get(name), type):
            namespace[name] = channel.module(name)
    if setup:
        exec(compile(ast.Module(imports_of(setup), []), "<setup>", "exec"), namespace)  # noqa: S102 - trusted text
    return compile(tests.counted(), "<tests>", "exec"), namespace


def run_tests(channel: Channel, solution: str, tests: str, setup: str) -> tuple[str, str]:
    """Run the tests; returns a verdict's status and detail, or ``("lost", where)`` if the solution's process ended.

    The caller turns "lost" into a status: only the server, the parent of that process, learns how it ended.
    """
    assertion_lines: list[int] = []  # lines of the assertions that were reached, in order
    where = "while the solution was loaded"
    try:
        parsed = ParsedTests(tests)
    except (SyntaxError, ValueError) as error:  # ValueError: the text is not UTF-8
        return "error", f"the tests are not valid Python: {error}"
    try:
        code, namespace = prepare(channel, solution, parsed, setup, assertion_lines)
        where = "while the tests ran"
        with_cases = "unittest" in tests
        if with_cases:
            prepare_unittest(namespace, assertion_lines)
        exec(code, namespace)  # noqa: S102
        if with_cases:
            sys.modules["unittest"].main()
        if not assertion_lines:
            run_uncalled(namespace, solution)
        if channel.failure:
            raise channel.failure
    except Gone:
        return "lost", where
    except LimitReached as limit:
        return limit.args[0], limit.args[1]
    except BaseException as error:  # every exception is a verdict, even SystemExit
        return explain(error, tests, assertion_lines, where)
    if not assertion_lines:
        return "error", "no assertion ran: the tests define some but call none, or hold none"
    return "passed", ""


def run_uncalled(namespace: dict[str, Any], solution: str) -> None:
    """Run tests that are defined but not called: functions ``test_...``, or else ``check(candidate)``.

    The candidate is the last function of the solution.
    """
    called = 0
    for name, value in list(namespace.items()):
        if name.startswith("test_") and _is_function(value, parameters=0):
            value()
            called += 1
    check = namespace.get("check")
    if check is not None and not called and _is_function(check, parameters=1):
        functions = [node.name for node in ast.parse(solution).body if isinstance(node, ast.FunctionDef)]
        if functions:
            check(getattr(sys.modules["solution"], functions[-1]))


def _is_function(value: Any, parameters: int) -> bool:
    return isinstance(value, types.FunctionType) and value.__code__.co_argcount == parameters


def prepare_unittest(namespace: dict[str, Any], assertion_lines: list[int]) -> None:
    """Make ``unittest.main()`` run the test cases of the tests, once, without ending the process."""
    import unittest

    def main(*_: Any, **__: Any) -> None:
        if not ran:
            ran.append(True)
            run_unittest(namespace, assertion_lines)

    ran: list[bool] = []
    unittest.main = main  # type: ignore[assignment]


def run_unittest(namespace: dict[str, Any], assertion_lines: list[int]) -> None:
    """Run the test cases of the tests. Raises: AssertionError, or what a test raised."""
    import unittest

    class Result(unittest.TestResult):
        """Keeps the first error as it was raised."""

        first: BaseException | None = None

        def addError(self, test: Any, err: Any) -> None:  # noqa: N802 - unittest's name, as below
            super().addError(test, err)
            self.first = self.first or err[1]
            self.stop()

        addFailure = addError  # noqa: N815

        def addSubTest(self, test: Any, subtest: Any, err: Any) -> None:  # noqa: ARG002, N802
            if err is not None:
                self.addError(test, err)

        def addUnexpectedSuccess(self, test: Any) -> None:  # noqa: N802
            self.first = self.first or AssertionError(f"{test} passed but should have failed")

    cases = [
        value
        for value in namespace.values()
        if isinstance(value, type) and issubclass(value, unittest.TestCase) and value.__module__ == "__main__"
    ]
    result = Result()
    unittest.TestSuite(map(unittest.defaultTestLoader.loadTestsFromTestCase, cases)).run(result)
    if result.first:
        raise result.first
    assertion_lines += [0] * (result.testsRun - len(result.skipped))


def explain(error: BaseException, tests: str, assertion_lines: list[int], where: str) -> tuple[str, str]:
    """Return status and detail for an exception that ended the tests.

    ``("failed", "assertion 2 (line 5): assert f(2) == 3")``, or
    ``("error", "ZeroDivisionError: division by zero (while the tests ran)")``.
    """
    # Set if the exception was raised in the solution's process; an `assert` of the solution itself is an error.
    solution_error = getattr(error, "from_solution", None)
    if isinstance(error, AssertionError) and solution_error is None:
        line = assertion_lines[-1] if assertion_lines else 0
        source = tests.splitlines()[line - 1].strip() if line else ""
        note = f": {error}" if str(error) else ""
        return "failed", f"assertion {len(assertion_lines)} (line {line}): {source[:300]}{note[:300]}"
    if isinstance(error, MemoryError):
        return "killed", f"memory: MemoryError {where}"
    if isinstance(error, Unsupported):
        return "unsupported", str(error)
    if solution_error and solution_error.startswith(_DISK_FULL):
        return "killed", f"file size: {solution_error}"
    message = solution_error or f"{type(error).__name__}: {error}"
    return "error", f"{message[:500]} ({where})"
