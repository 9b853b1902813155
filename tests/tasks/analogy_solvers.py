"""Analogies read liberally: a choice is right under any relation between the words that a reader might see."""

from __future__ import annotations

import re
from collections.abc import Sequence

from .generators import module

TABLES = module("analogy", "tables").TABLES
Place = tuple[int, int]  # row, column

# Words of other rows that would do as well, by head and column.
ALSO = {
    ("eagle", 1): {"chick", "squab"},
    ("pigeon", 1): {"chick", "eaglet"},
    ("goose", 1): {"chick"},
    ("frog", 1): {"larva"},
    ("deer", 1): {"calf"},
    ("pen", 4): {"tool", "instrument"},
    ("knife", 4): {"tool"},
    ("broom", 4): {"tool"},
    ("tent", 4): {"shelter"},
    ("smith", 1): {"saw", "crane"},
    ("carpenter", 3): {"ferry"},
    ("shipbuilder", 1): {"saw"},
    ("cook", 1): {"oven"},
    ("potter", 1): {"oven", "brush"},
    ("glassblower", 1): {"oven"},
    ("baker", 2): {"kitchen"},
    ("potter", 2): {"studio"},
    ("cook", 3): {"loaf"},
    ("potter", 3): {"vase"},
    ("glassblower", 3): {"jug"},
    ("writer", 1): {"press"},
    ("writer", 3): {"newspaper"},
    ("printer", 3): {"novel"},
    ("weaver", 1): {"needle"},
    ("weaver", 3): {"suit"},
    ("mass", 1): {"spring scale"},
    ("temperature", 2): {"degree"},
    ("angle", 2): {"second"},
    ("hospital", 3): {"play"},
    ("theatre", 3): {"operation"},
    ("depart", 1): {"start"},
    ("begin", 1): {"leave"},
    ("timid", 1): {"quiet"},
    ("silent", 1): {"shy"},
    ("deep", 3): {"low"},
    ("high", 3): {"short"},
}


def analogy(question: str, choices: Sequence[str]) -> list[str]:
    right = set()
    for table in TABLES.values():
        if pair := re.findall(r"in the same way as (.+)\?", question):
            given = _kinds(table, *pair[0].split(" : "))
            right |= {choice for choice in choices if given & _kinds(table, *choice.split(" : "))}
        else:
            a, b, c = re.findall(r"(.+) is to (.+) as (.+) is to what\?", question)[0]
            given = _kinds(table, a, b)
            right |= {choice for choice in choices if given & _kinds(table, c, choice)}
    return [choice for choice in choices if choice in right]


def _places(table: object, word: str) -> list[Place]:
    """Where a word stands or could stand in a table."""
    rows = table.rows  # type: ignore[attr-defined]
    cells = [(r, k) for r, row in enumerate(rows) for k in range(len(row))]
    return [(r, k) for r, k in cells if rows[r][k] == word or word in ALSO.get((rows[r][0], k), ())]


def _kinds(table: object, first: str, second: str) -> set[tuple[int, int]]:
    """The relations of two words: their columns, if they may belong to one row."""
    places = [(p, q) for p in _places(table, first) for q in _places(table, second)]
    kinds = {(_column(table, p), _column(table, q)) for p, q in places if p[0] == q[0]}
    return {_either_way(table, kind) for kind in kinds}


def _column(table: object, place: Place) -> int:
    """The column; a synonym of the head counts as the head, unless it is asked for as a synonym."""
    column = place[1]
    return 0 if column > 0 and table.relations[column - 1].same else column  # type: ignore[attr-defined]


def _either_way(table: object, kind: tuple[int, int]) -> tuple[int, int]:
    """Opposites are opposites in either order."""
    relations = table.relations  # type: ignore[attr-defined]
    mutual = any(k > 0 and relations[k - 1].mutual for k in kind) and 0 in kind
    return (min(kind), max(kind)) if mutual else kind
