"""The tests: trusted text, run here with the solution behind a wire, and the verdict on how they ended."""

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
    """Put a note before every assertion, so that tests which never ran are not taken for tests which passed."""

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        """Return the assertion with its note before it."""
        note = ast.parse(f"__assertion__({node.lineno})").body[0]
        return [ast.copy_location(ast.fix_missing_locations(note), node), node]


def free_names(tree: ast.Module) -> list[str]:
    """Names that the tests read and do not make at their top level."""
    local = {node.name for node in tree.body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
    read = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return sorted(name for name in read - local if not name.startswith("__"))


def prepare(
    channel: Channel, solution: str, tests: str, setup: str, assertion_lines: list[int]
) -> tuple[Any, dict[str, Any]]:
    """Load the solution; returns the compiled tests and the names that they find.

    A builtin's name is the solution's only when it defines none of the tests' other names: the function under test
    may be called ``sum``, but no solution can replace the ``abs`` that its tests measure an error with.
    """
    tree = ast.parse(tests)
    free = free_names(tree)
    definitions, _ = channel.request(["load", solution, setup, free])
    defined = [name for name in free if name in definitions]  # what was not asked for is not taken
    own = [name for name in defined if name not in _BUILTINS] or defined
    space: dict[str, Any] = {"__name__": "tests", "__builtins__": builtins, "__assertion__": assertion_lines.append}
    space |= {name: wire.decode(definitions[name], channel.resolve) for name in own}
    exec(compile(ast.Module(imports_of(setup), []), "<setup>", "exec"), space)  # noqa: S102 - trusted text
    body = ast.Module(CountAssertions().visit(tree).body, [])
    return compile(ast.fix_missing_locations(body), "<tests>", "exec"), space


def run_tests(channel: Channel, solution: str, tests: str, setup: str) -> tuple[str, str]:
    """Run the tests; returns status and detail, ``("lost", where)`` when the solution's process went away."""
    assertion_lines: list[int] = []
    where = "while the solution was loaded"
    try:
        ast.parse(tests)
    except (SyntaxError, ValueError) as error:  # the second for text that is no UTF-8
        return "error", f"the tests are no Python: {error}"
    try:
        code, space = prepare(channel, solution, tests, setup, assertion_lines)
        where = "while the tests ran"
        exec(code, space)  # noqa: S102
    except SolutionLost:
        return "lost", where
    except LimitReached as limit:
        return limit.args[0], limit.args[1]
    except BaseException as error:  # every way to end is a verdict
        return explain(error, tests, assertion_lines, where)
    return (
        ("passed", "")
        if assertion_lines
        else ("error", "no assertion ran: the tests define some but call none, or hold none")
    )


def explain(error: BaseException, tests: str, assertion_lines: list[int], where: str) -> tuple[str, str]:
    """Status and detail for an exception that ended the tests."""
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
