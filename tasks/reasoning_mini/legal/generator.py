"""Legal: small invented statutes applied to cases. Every key is computed from the rules in the statute."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.suite import generated

if TYPE_CHECKING:
    from datasets import DatasetDict

exceptions = generated.sibling(__file__, "exceptions")
conflicts = generated.sibling(__file__, "conflicts")
amounts = generated.sibling(__file__, "amounts")

TEMPLATES: dict[str, generated.ItemTemplate] = {
    "exceptions": exceptions.exceptions,
    "later_act": conflicts.later_act,
    "special": conflicts.special,
    "court": conflicts.court,
    "penalty": amounts.penalty,
    "inheritance": amounts.inheritance,
    "time_limit": amounts.time_limit,
    "contract": amounts.contract,
}


def generate(split: generated.Split, count: int, *, start: int = 0) -> Iterator[generated.GeneratedItem]:
    """Yield `count` items of the infinite stream, from item `start`."""
    return generated.make_items("legal", TEMPLATES, split, count, start=start)


def load(**_: object) -> DatasetDict:
    """Return the splits for lm-eval, which also passes the task's metadata."""
    return generated.load_items(generate)
