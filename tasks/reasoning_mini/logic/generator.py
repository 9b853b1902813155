"""Logic: orderings, entailment, and who tells the truth. Every key is found by enumerating all possibilities."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.suite import generated

if TYPE_CHECKING:
    from datasets import DatasetDict

ordering = generated.sibling(__file__, "ordering")
entailment = generated.sibling(__file__, "entailment")
knights = generated.sibling(__file__, "knights")

TEMPLATES: dict[str, generated.ItemTemplate] = {
    "order_compare": ordering.compare,
    "order_line": ordering.line,
    "order_must": ordering.must,
    "syllogism": entailment.syllogism,
    "conditional": entailment.conditional,
    "contrapositive": entailment.contrapositive,
    "knights": knights.knights,
    "culprit": knights.culprit,
}


def generate(split: generated.Split, count: int, *, start: int = 0) -> Iterator[generated.GeneratedItem]:
    """Yield `count` items of the infinite stream, from item `start`."""
    return generated.make_items("logic", TEMPLATES, split, count, start=start)


def load(**_: object) -> DatasetDict:
    """Return the splits for lm-eval, which also passes the task's metadata."""
    return generated.load_items(generate)
