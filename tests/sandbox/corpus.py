"""Reads `attacks/*.txt`: programs that try to pass without solving their task, or to reach what is outside.

A file holds sections: ``### name -> the statuses that it may end with`` (any but passed, without an arrow), the
solution, and after a line ``# tests`` the tests that it faces instead of `TESTS`. One that gets hold of something it
must not have raises or prints the word REACHED. Filled in: ``@CANARY@``, a folder outside; ``@PORT@`` and
``@ABSTRACT@``, sockets that listen outside; ``@LIAR@``, a class whose instances say yes to every comparison.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

TESTS = "assert solve(2) == 42\nassert solve(3) == [1, 2.5, 'three']\nassert abs(solve(4) - 0.5) < 1e-6\n"
LIAR = """
class Liar{base}:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __lt__(self, other): return True
    __gt__ = __le__ = __ge__ = __contains__ = __lt__
    def __sub__(self, other): return self
    __add__ = __radd__ = __rsub__ = __sub__
    def __abs__(self): return self
    def __hash__(self): return 0
    def __float__(self): return 0.5
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attack:
    """One program, the tests it faces, and how it may end (any way but passed, when empty)."""

    group: str
    name: str
    solution: str
    tests: str
    ends: tuple[str, ...]


def _read(file: Path) -> list[Attack]:
    found = []
    for section in re.split(r"^### ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, body = section.partition("\n")
        name, _, ends = head.partition(" -> ")
        solution, _, tests = body.partition("\n# tests\n")
        solution = re.sub(r"@LIAR(.*?)@", lambda match: LIAR.format(base=match[1]), solution)
        found.append(
            Attack(
                group=file.stem,
                name=name,
                solution=solution.strip() + "\n",
                tests=tests or TESTS,
                ends=tuple(ends.split(", ")) if ends else (),
            )
        )
    return found


ATTACKS = [attack for file in sorted((Path(__file__).parent / "attacks").glob("*.txt")) for attack in _read(file)]
