"""Static analysis of tests: the names that they read and set, the modules that they use, their assertions."""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator

from .channel import MODULES

_BUILTINS = frozenset(dir(builtins))
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = ("body", "orelse", "finalbody")


class AmbiguousError(Exception):
    """Nobody can tell which function is under test."""


class ParsedTests:
    """The syntax tree of the tests. It is walked once, because every program waits for the result."""

    def __init__(self, text: str) -> None:
        """Parse. Raises: SyntaxError, or ValueError for text that is not UTF-8."""
        self.tree = ast.parse(text)
        self.nodes = list(ast.walk(self.tree))
        body = self.tree.body
        own = {node.name for node in body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}
        imports = (node for node in body if isinstance(node, ast.Import))
        own |= {(alias.asname or alias.name).partition(".")[0] for node in imports for alias in node.names}
        read = {node.id for node in self.nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
        self.free = sorted(name for name in read - own if not name.startswith("__"))
        """The names that the tests read but do not define or import at their top level."""

    def from_solution(self, defined: list[str]) -> list[str]:
        """Return the names in `defined` that the tests take from the solution.

        Names of builtins are left out, except that of the function under test: it may be called ``sum``, but no
        solution may replace the ``abs`` with which its tests measure an error.

        Raises:
            AmbiguousError: The solution defines several builtins that the tests use, and nothing else that they use.
        """
        # tests "assert abs(root(2) - 1.414) < 0.01": free is ["abs", "root"], and `abs` stays the builtin.
        own = [name for name in defined if name not in _BUILTINS]
        return own if len(own) == len(defined) else own + self._tested_builtin(defined)

    def _tested_builtin(self, defined: list[str]) -> list[str]:
        """Return the builtin's name that the function under test has, in a list; otherwise an empty list.

        ``assert sum([1]) == 7`` gives ``["sum"]``. It must be the only name that the tests take from the solution, and
        they must read it outside of top-level functions with parameters. Otherwise the function under test may be an
        argument, as in ``check(candidate)``, or an attribute of the module `solution`.
        """
        names = set(defined) - {name for node in self.nodes for name in _names_set_by(node)}
        if not names <= _BUILTINS or any(map(_mentions_solution, self.nodes)):
            return []
        given = [node for node in self.tree.body if isinstance(node, _FUNCTIONS) and node.args.args]
        outside = [statement for statement in self.tree.body if statement not in given]
        read = {node.id for each in outside for node in ast.walk(each) if isinstance(node, ast.Name)}
        if len(names) > 1 and names & read:
            raise AmbiguousError(f"the solution replaces builtins that its tests use: {', '.join(sorted(names))}")
        return list(names & read)

    def modules(self) -> set[str]:
        """Return the standard-library modules that the tests use without an import, as in ``sys.getsizeof(x)``.

        A name that is called, or is an argument, belongs to a function under test: ``copy(x)``, ``check(copy)``.
        """
        reads = [node.id for node in self.nodes if isinstance(node, ast.Name)]
        names = {name for name in MODULES if name in reads}
        if not names:
            return set()
        calls = [node for node in self.nodes if isinstance(node, ast.Call)]
        called = {part.id for node in calls for part in (node.func, *node.args) if isinstance(part, ast.Name)}
        return names - called

    def counted(self) -> ast.Module:
        """Return the tree, changed so that the line of every assertion is recorded before it runs.

        Tests can reach their end without one, for example when they define ``check`` and never call it. That must not
        count as passed. ``assert f(2) == 3`` in line 5 becomes::

            __assertion__(5)
            assert f(2) == 3
        """
        for node in self.nodes:
            for name in _BLOCKS:
                block = getattr(node, name, None)
                if isinstance(block, list) and any(map(is_assertion, block)):
                    block[:] = list(_with_records(block))
        return self.tree


def is_assertion(node: ast.AST) -> bool:
    """Return whether a statement is ``assert``, or a call such as ``testing.assert_equal(a, b)``."""
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return isinstance(node, ast.Assert)
    called = node.value.func
    name = getattr(called, "attr", None) or getattr(called, "id", "")
    return str(name).lower().startswith("assert")


def _with_records(block: list[ast.stmt]) -> Iterator[ast.stmt]:
    for statement in block:
        if is_assertion(statement):
            call = ast.Call(ast.Name("__assertion__", ast.Load()), [ast.Constant(statement.lineno)], [])
            record = ast.Expr(call)
            for node in (record, call, call.func, call.args[0]):
                ast.copy_location(node, statement)
            yield record
        yield statement


def _names_set_by(node: ast.AST) -> list[str]:
    """Return the names that one node of the tests sets: ``x = 1``, ``def x``, ``def f(x)``, ``import x``."""
    if isinstance(node, ast.Name):
        return [node.id] if isinstance(node.ctx, ast.Store) else []
    if isinstance(node, (*_FUNCTIONS, ast.ClassDef)):
        return [node.name]
    if isinstance(node, ast.alias):
        return [(node.asname or node.name).partition(".")[0]]
    return [node.arg] if isinstance(node, ast.arg) else []


def _mentions_solution(node: ast.AST) -> bool:
    if isinstance(node, ast.alias):
        return node.name == "solution"
    if isinstance(node, ast.ImportFrom):
        return node.module == "solution"
    return isinstance(node, ast.Constant) and node.value == "solution"
