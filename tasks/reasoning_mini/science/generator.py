"""Science: facts and quantities computed from tables and laws that the question gives or a school teaches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness import mini

if TYPE_CHECKING:
    from datasets import DatasetDict

quantities = mini.sibling(__file__, "quantities")
facts = mini.sibling(__file__, "facts")

TEMPLATES: dict[str, mini.Template] = {
    "motion": quantities.motion,
    "states": facts.states,
    "density": quantities.density,
    "food_chain": facts.food_chain,
    "circuit": quantities.circuit,
    "punnett": facts.punnett,
    "work": quantities.work,
    "atom": facts.atom,
    "reaction": quantities.reaction,
    "planets": facts.planets,
    "acidity": quantities.acidity,
    "units": quantities.units,
}


def generate(split: mini.Split, count: int, *, start: int = 0) -> Iterator[mini.Item]:
    """Yield `count` items of the endless stream, from item `start`."""
    return mini.make_items("science", TEMPLATES, split, count, start=start)


def load(**_: object) -> DatasetDict:
    """Return the splits for lm-eval, which passes the task's metadata along."""
    return mini.load_items(generate)
