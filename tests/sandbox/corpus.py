"""Programs for the sandbox's tests, read from text files: `attacks/*.txt`, `right.txt` and `wrong.txt`.

A file holds sections: a line ``### name -> end``, the solution, and after a line ``# tests`` the tests that it faces
instead of `TESTS`. An attack tries to pass without solving its task, or to reach what is outside; its end is the list
of statuses it may have, any but passed when there is none. One that gets hold of something it must not have raises or
prints the word REACHED. Filled in: ``@CANARY@``, a folder outside; ``@PORT@`` and ``@ABSTRACT@``, sockets that listen
outside; ``@LIAR@``, a class whose instances say yes to every comparison. The end of a wrong program is its status and
what its verdict's detail must hold.
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
class Case:
    """One program, the tests it faces, and what the line with its name says of its end."""

    group: str
    name: str
    solution: str
    tests: str
    end: str

    @property
    def ends(self) -> tuple[str, ...]:
        """The statuses that it may end with."""
        return tuple(self.end.split(", ")) if self.end else ("failed", "error", "timeout", "killed")


def read(file: Path) -> list[Case]:
    """Read one file of sections."""
    found = []
    for section in re.split(r"^### ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, body = section.partition("\n")
        name, _, end = head.partition(" -> ")
        solution, _, tests = body.partition("# tests\n")
        solution = re.sub(r"@LIAR(.*?)@", lambda match: LIAR.format(base=match[1]), solution)
        found.append(Case(group=file.stem, name=name, solution=solution.strip() + "\n", tests=tests or TESTS, end=end))
    return found


HERE = Path(__file__).parent
ATTACKS = [attack for file in sorted((HERE / "attacks").glob("*.txt")) for attack in read(file)]
RIGHT = read(HERE / "right.txt")
WRONG = read(HERE / "wrong.txt")
