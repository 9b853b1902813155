"""Runs the tests, which are trusted, against a solution in another process, and says how they ended."""

from __future__ import annotations

import ast
import builtins
import errno
from typing import Any

from . import wire
from .remote import Channel, LimitReached, SolutionLost
from .solution import imports_of

_BUILTINS = frozenset(dir(builtins))
_DISK_FULL = tuple(f"OSError: [Errno {number}]" for number in (errno.ENOSPC, errno.EFBIG))


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
    """Return the names that the tests read but do not define as a function or class at their top level."""
    local = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return sorted(name for name in read - local if not name.startswith("__"))


def prepare(
    channel: Channel, solution: str, tests: str, setup: str, assertion_lines: list[int]
) -> tuple[Any, dict[str, Any]]:
    """Load the solution; returns the compiled tests and the namespace to run them in.

    The solution's definition of a builtin name counts only if it defines no other name of the tests: the function
    under test may be called ``sum``, but no solution can replace the ``abs`` that its tests measure an error with.
    """
    tree = ast.parse(tests)
    free = free_names(tree)
    definitions, _ = channel.request(["load", solution, setup, free])
    # The reply comes from the solution's process, which may add names nobody asked for, such as "__builtins__".
    defined = [name for name in free if name in definitions]
    # tests "assert abs(root(2) - 1.414) < 0.01": free is ["abs", "root"].
    # A solution that defines both provides `root` only; `abs` stays the builtin.
    own = [name for name in defined if name not in _BUILTINS] or defined
    namespace: dict[str, Any] = {"__name__": "tests", "__builtins__": builtins, "__assertion__": assertion_lines.append}
    namespace |= {name: wire.decode(definitions[name], channel.resolve) for name in own}
    exec(compile(ast.Module(imports_of(setup), []), "<setup>", "exec"), namespace)  # noqa: S102 - trusted text
    body = ast.Module(CountAssertions().visit(tree).body, [])
    return compile(ast.fix_missing_locations(body), "<tests>", "exec"), namespace


def run_tests(channel: Channel, solution: str, tests: str, setup: str) -> tuple[str, str]:
    """Run the tests; returns a verdict's status and detail, or ``("lost", where)`` if the solution's process ended.

    The caller turns "lost" into a status: only the zygote, the parent of that process, learns how it ended.
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
        exec(code, namespace)  # noqa: S102
    except SolutionLost:
        return "lost", where
    except LimitReached as limit:
        return limit.args[0], limit.args[1]
    except BaseException as error:  # every exception is a verdict, even SystemExit
        return explain(error, tests, assertion_lines, where)
    if not assertion_lines:
        return "error", "no assertion ran: the tests define some but call none, or hold none"
    return "passed", ""


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
    if solution_error and solution_error.startswith(_DISK_FULL):
        return "killed", f"file size: {solution_error}"
    message = solution_error or f"{type(error).__name__}: {error}"
    return "error", f"{message[:500]} ({where})"
