"""Analogies from fact tables: "A is to B as C is to what?" Every choice is the answer to some analogy of its table."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.suite import generated

if TYPE_CHECKING:
    from datasets import DatasetDict

tables = generated.sibling(__file__, "tables")


class Cell(NamedTuple):
    """A word of a table; column 0 holds the heads."""

    row: int
    column: int


def analogy(rng: random.Random, level: int, *, table: Any) -> generated.Scene:
    """From the head to a column (level 1), from a column to another (2), or a whole pair (3)."""
    if level == 3:
        return _pairs(rng, table)
    source = 0 if level == 1 else rng.randrange(1, len(table.relations) + 1)
    cells = _choices(rng, table, source)

    def ask(rng: random.Random) -> generated.Draft | None:
        row, column = rng.choice(cells)
        first = rng.randrange(len(table.rows))
        if first in {cell.row for cell in cells}:
            return None
        a, b, c, d = (table.rows[r][k] for r in (first, row) for k in (source, column))
        return generated.Draft(
            question=f"{a} is to {b} as {c} is to what?",
            answer=d,
            rationale=_reason(table, first, row, source, column),
            structure=_core(table, first, row, source, column),
        )

    return ask


def _choices(rng: random.Random, table: Any, source: int) -> list[Cell]:
    """Four words, each of which can be the answer: four of one row, or two rows of different kin times two columns."""
    columns = [k for k in range(len(table.relations) + 1) if k != source]
    alike = [k for k in columns if _group(table, k) == 0]
    if len(alike) > 1:  # a word and its synonym would both be right
        columns.remove(rng.choice(alike))
    if len(columns) >= generated.CHOICES:
        row = rng.randrange(len(table.rows))
        return [Cell(row, k) for k in rng.sample(columns, generated.CHOICES)]
    while True:
        one, other = rng.sample(range(len(table.rows)), 2)
        if table.kin[one] != table.kin[other]:
            return [Cell(*cell) for cell in itertools.product((one, other), rng.sample(columns, 2))]


def _group(table: Any, column: int) -> int:
    """The column, but 0 for synonyms of the head."""
    return 0 if column > 0 and table.relations[column - 1].same else column


def _pairs(rng: random.Random, table: Any) -> generated.Scene:
    """Which pair has the relation of the given pair? The choices have four relations, from four rows."""
    directions = list(itertools.permutations(range(len(table.relations) + 1), 2))
    rng.shuffle(directions)
    by_kind = {_kind(table, direction): direction for direction in directions}
    rows = rng.sample(range(len(table.rows)), generated.CHOICES)
    cells = list(zip(rows, rng.sample(list(by_kind.values()), generated.CHOICES), strict=True))

    def pair(row: int, direction: tuple[int, int]) -> str:
        return " : ".join(table.rows[row][k] for k in direction)

    def ask(rng: random.Random) -> generated.Draft | None:
        row, direction = rng.choice(cells)
        given = rng.randrange(len(table.rows))
        if given in rows:
            return None
        return generated.Draft(
            question=f"Which pair is related in the same way as {pair(given, direction)}?",
            answer=pair(row, direction),
            rationale=_reason(table, given, row, *direction),
            structure=_core(table, given, row, *direction),
        )

    return ask


def _kind(table: Any, direction: tuple[int, int]) -> str:
    """What the relation of a pair reads as: whatever has to do with opposites reads as opposite."""
    mutual = any(k > 0 and table.relations[k - 1].mutual for k in direction)
    return "mutual" if mutual else str([_group(table, k) for k in direction])


def _core(table: Any, first: int, row: int, source: int, column: int) -> str:
    """The relation and the two rows; the reversed analogy has the same structure."""
    heads = sorted(table.rows[r][0] for r in (first, row))
    return f"{heads} {sorted((source, column))}"


def _reason(table: Any, first: int, row: int, source: int, column: int) -> str:
    """Say for both rows how the words relate, through the head if neither word is it."""
    clauses = []
    for words in (table.rows[first], table.rows[row]):
        says = [table.relations[k - 1].says.format(a=words[0], b=words[k]) for k in (source, column) if k > 0]
        clauses.append(generated.join(says))
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", generated.sentence("; likewise, ".join(clauses)))


TEMPLATES: dict[str, generated.ItemTemplate] = {
    name: partial(analogy, table=table) for name, table in tables.TABLES.items()
}


def generate(split: generated.Split, count: int, *, start: int = 0) -> Iterator[generated.GeneratedItem]:
    """Yield `count` items of the infinite stream, from item `start`."""
    return generated.make_items("analogy", TEMPLATES, split, count, start=start)


def load(**_: object) -> DatasetDict:
    """Return the splits for lm-eval, which also passes the task's metadata."""
    return generated.load_items(generate)
