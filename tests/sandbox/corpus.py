"""Programs for the sandbox's tests, from text files: `attacks/*.txt`, `right.txt`, `constructs.txt`, `wrong.txt`.

A file consists of sections like this one::

    ### wrong value -> failed: assertion 1        name -> end
    def f(x): return x                            the solution
    # tests                                       without this line, the tests are `TESTS`
    assert f(2) == 3

The end of a wrong program is its status and a part of its verdict's detail. The end of an attack is a list of allowed
statuses (``failed, error``); without one, any status but passed is allowed. An attack tries to pass without solving its
task, or to reach something outside the sandbox; if it succeeds, it raises or prints the word REACHED. Placeholders:
``@CANARY@``, a folder outside; ``@PORT@`` and ``@ABSTRACT@``, sockets that listen outside; ``@LIAR@``, a class whose
instances answer every comparison with True.
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
    """One program, its tests, and how it should end."""

    group: str
    name: str
    solution: str
    tests: str
    end: str

    @property
    def ends(self) -> tuple[str, ...]:
        """The statuses that an attack may end with."""
        return tuple(self.end.split(", ")) if self.end else ("failed", "error", "timeout", "killed")


def read(file: Path) -> list[Case]:
    """Read one file of sections."""
    cases = []
    for section in re.split(r"^### ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, body = section.partition("\n")
        name, _, end = head.partition(" -> ")
        solution, _, tests = body.partition("# tests\n")
        solution = re.sub(r"@LIAR(.*?)@", lambda match: LIAR.format(base=match[1]), solution)
        cases.append(Case(group=file.stem, name=name, solution=solution.strip() + "\n", tests=tests or TESTS, end=end))
    return cases


HERE = Path(__file__).parent
ATTACKS = [attack for file in sorted((HERE / "attacks").glob("*.txt")) for attack in read(file)]
RIGHT = [*read(HERE / "right.txt"), *read(HERE / "constructs.txt")]
WRONG = read(HERE / "wrong.txt")
