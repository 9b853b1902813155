"""Analogies from fact tables: "A is to B as C is to what?" Distractors have a different relation to C."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from harness.suite import generated

if TYPE_CHECKING:
    from datasets import DatasetDict

tables = generated.sibling(__file__, "tables")


def analogy(rng: random.Random, level: int, *, table: Any) -> generated.Draft | None:
    """From the head to a column (level 1), from the column back to the head (2), or a whole pair (3)."""
    column = rng.choice([i + 1 for i, relation in enumerate(table.relations) if relation])
    first, second = rng.sample(table.rows, 2)
    if level == 3:
        return _pairs(rng, table, column, first, second)
    a, b, c, d = first[0], first[column], second[0], second[column]
    if level == 2:
        a, b, c, d = b, a, d, c
    rest = [row for row in table.rows if row not in (first, second)]
    relation = table.relations[column - 1]
    # In reverse, a mutual relation may also hold for a synonym in the same row.
    related = [] if level == 2 and relation.mutual else [word for word in second if word not in (c, d)]
    if relation.loose:  # words from other columns of other rows
        others = [row[i] for row in rest for i in range(1, len(row)) if i != column]
    else:
        others = [row[0 if level == 2 else column] for row in rest]
    pool = [*related, *rng.sample(others, 3 if related else 6)]
    wrong = [word for word in dict.fromkeys(pool) if word not in (a, b, c, d)]
    return generated.Draft(
        question=f"{a} is to {b} as {c} is to what?",
        correct=d,
        wrong=wrong,
        rationale=_reason(table, column, first, second),
    )


def _pairs(rng: random.Random, table: Any, column: int, first: Sequence[str], second: Sequence[str]) -> generated.Draft:
    """Choose the pair with the given pair's relation; wrong pairs are reversed, mixed or have another relation."""
    turned = rng.random() < 0.5

    def pair(row: Sequence[str], i: int, *, turn: bool) -> str:
        a, b = (row[i], row[0]) if turn else (row[0], row[i])
        return f"{a} : {b}"

    rows = [row for row in table.rows if row not in (first, second)]
    columns = [i for i in range(1, len(table.relations) + 1) if i != column]
    third, fourth = rng.sample(rows, 2)
    wrong = [pair(row, rng.choice(columns), turn=turned) for row in (*rng.sample(rows, 3), second)]
    if not table.relations[column - 1].mutual:
        wrong += [pair(row, column, turn=not turned) for row in rng.sample(rows, 2)]
    if not table.relations[column - 1].loose:
        wrong.append(pair((third[0], *fourth[1:]), column, turn=turned))
    correct = pair(second, column, turn=turned)
    return generated.Draft(
        question=f"Which pair is related in the same way as {pair(first, column, turn=turned)}?",
        correct=correct,
        wrong=[w for w in dict.fromkeys(wrong) if w != correct],
        rationale=_reason(table, column, first, second),
        core=f"{pair(first, column, turn=turned)} / {correct}",
    )


def _reason(table: Any, column: int, first: Sequence[str], second: Sequence[str]) -> str:
    says = table.relations[column - 1].says
    one, two = (says.format(a=row[0], b=row[column]) for row in (first, second))
    return re.sub(r"\b([Aa]) (?=[aeiou])", r"\1n ", generated.sentence(f"{one}, and {two}"))


TEMPLATES: dict[str, generated.ItemTemplate] = {
    name: partial(analogy, table=table) for name, table in tables.TABLES.items()
}


def generate(split: generated.Split, count: int, *, start: int = 0) -> Iterator[generated.GeneratedItem]:
    """Yield `count` items of the infinite stream, from item `start`."""
    return generated.make_items("analogy", TEMPLATES, split, count, start=start)


def load(**_: object) -> DatasetDict:
    """Return the splits for lm-eval, which also passes the task's metadata."""
    return generated.load_items(generate)
