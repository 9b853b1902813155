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
from .channel import MODULES, Channel, LimitReached, Unsupported
from .link import Gone
from .solution import imports_of

_BUILTINS = frozenset(dir(builtins))
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


class CountAssertions(ast.NodeTransformer):
    """Record the line of every assertion before it runs.

    Tests can reach their end without one, for example when they define ``check`` and never call it. That must not
    count as passed. ``assert f(2) == 3`` in line 5 becomes::

        __assertion__(5)
        assert f(2) == 3
    """

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        """Return the assertion with the recording call before it."""
        call = ast.parse(f"__assertion__({node.lineno})").body[0]
        return [ast.copy_location(ast.fix_missing_locations(call), node), node]


def free_names(tree: ast.Module) -> list[str]:
    """Return the names that the tests read but do not define or import at their top level."""
    local = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    imports = (node for node in tree.body if isinstance(node, ast.Import))
    local |= {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return sorted(name for name in read - local if not name.startswith("__"))


def tested_builtin(tree: ast.Module, defined: list[str]) -> set[str]:
    """Return the builtin's name that the function under test has, as a set: ``assert sum([1]) == 7``; else nothing.

    Of the names that the tests read, the solution defines this one only, and they read it where no function under test
    can come to them as an argument, as in ``check(candidate)``, or as an attribute of the module `solution`.
    """
    nodes = list(ast.walk(tree))
    names = set(defined) - {name for node in nodes for name in _names_set_by(node)}
    if len(names) != 1 or not names <= _BUILTINS or any(_mentions_solution(node) for node in nodes):
        return set()
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    given = [node for node in tree.body if isinstance(node, functions) and node.args.args]
    outside = ast.Module([statement for statement in tree.body if statement not in given], [])
    return names if names <= set(free_names(outside)) else set()


def _mentions_solution(node: ast.AST) -> bool:
    return "solution" in _modules_of(node) or (isinstance(node, ast.Constant) and node.value == "solution")


def _names_set_by(node: ast.AST) -> list[str]:
    """Return the names that one node of the tests sets: ``x = 1``, ``def x``, ``def f(x)``, ``import x``."""
    if isinstance(node, ast.Name):
        return [node.id] if isinstance(node.ctx, ast.Store) else []
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.alias):
        return [(node.asname or node.name).partition(".")[0]]
    return [node.arg] if isinstance(node, ast.arg) else []


def _modules_of(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


def names_of_modules(tree: ast.Module) -> set[str]:
    """Return the standard library's modules that the tests use without importing them: as in ``sys.getsizeof(x)``."""
    nodes = list(ast.walk(tree))
    all_reads = [node.id for node in nodes if isinstance(node, ast.Name)]
    of_attribute = [
        node.value.id for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]
    return {name for name in MODULES if name in of_attribute and all_reads.count(name) == of_attribute.count(name)}


def _is_module(definition: Any) -> bool:
    """Whether an encoded definition is a module: those come from this process."""
    return isinstance(definition, list) and definition[:1] == ["module"]


def prepare(
    channel: Channel, solution: str, tests: str, setup: str, assertion_lines: list[int]
) -> tuple[Any, dict[str, Any]]:
    """Load the solution; returns the compiled tests and the namespace to run them in.

    The solution's definition of a builtin name counts only if the tests read no other name from the solution: the
    function under test may be called ``sum``, but no solution can replace the ``abs`` that its tests measure an error
    with.
    Modules come from this process unless the solution has the class of that name (``from datetime import datetime``).
    """
    tree = ast.parse(tests)
    free = free_names(tree)
    definitions = channel.load(solution, setup, free)
    # The reply comes from the solution's process, which may add names nobody asked for, such as "__builtins__".
    defined = [name for name in free if name in definitions]
    # tests "assert abs(root(2) - 1.414) < 0.01": free is ["abs", "root"], and `abs` stays the builtin.
    tested = tested_builtin(tree, defined)
    own = [name for name in defined if name not in _BUILTINS or name in tested]
    module = types.ModuleType("__main__")  # for `unittest.main()`
    sys.modules["__main__"] = module
    sys.modules["solution"] = TestsModule(channel)
    namespace = module.__dict__
    namespace |= {"__builtins__": builtins, "__assertion__": assertion_lines.append}
    namespace |= {
        name: wire.decode(definitions[name], channel.resolve) for name in own if not _is_module(definitions[name])
    }
    for name in names_of_modules(tree):
        if not isinstance(namespace.get(name), type):
            namespace[name] = channel.module(name)
    exec(compile(ast.Module(imports_of(setup), []), "<setup>", "exec"), namespace)  # noqa: S102 - trusted text
    body = ast.Module(CountAssertions().visit(tree).body, [])
    return compile(ast.fix_missing_locations(body), "<tests>", "exec"), namespace


def run_tests(channel: Channel, solution: str, tests: str, setup: str) -> tuple[str, str]:
    """Run the tests; returns a verdict's status and detail, or ``("lost", where)`` if the solution's process ended.

    The caller turns "lost" into a status: only the server, the parent of that process, learns how it ended.
    """
    assertion_lines: list[int] = []  # lines of the assertions that were reached, in order
    where = "while the solution was loaded"
    try:
        ast.parse(tests)
    except (SyntaxError, ValueError) as error:  # ValueError: the text is not UTF-8
        return "error", f"the tests are not valid Python: {error}"
    try:
        code, namespace = prepare(channel, solution, tests, setup, assertion_lines)
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
