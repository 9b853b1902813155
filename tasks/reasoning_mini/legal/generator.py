"""Legal: small invented statutes applied to cases. Every key is computed by the rules that the statute states."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.suite import generated as mini

if TYPE_CHECKING:
    from datasets import DatasetDict

exceptions = mini.sibling(__file__, "exceptions")
conflicts = mini.sibling(__file__, "conflicts")
amounts = mini.sibling(__file__, "amounts")

TEMPLATES: dict[str, mini.Template] = {
    "exceptions": exceptions.exceptions,
    "later_act": conflicts.later_act,
    "special": conflicts.special,
    "court": conflicts.court,
    "penalty": amounts.penalty,
    "inheritance": amounts.inheritance,
    "time_limit": amounts.time_limit,
    "contract": amounts.contract,
}


def generate(split: mini.Split, count: int, *, start: int = 0) -> Iterator[mini.Item]:
    """Yield `count` items of the endless stream, from item `start`."""
    return mini.make_items("legal", TEMPLATES, split, count, start=start)


def load(**_: object) -> DatasetDict:
    """Return the splits for lm-eval, which passes the task's metadata along."""
    return mini.load_items(generate)
