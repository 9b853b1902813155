"""Science: facts and quantities computed from tables and laws that the question gives or a school teaches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.suite import generated as mini

if TYPE_CHECKING:
    from datasets import DatasetDict

physics = mini.sibling(__file__, "physics")
chemistry = mini.sibling(__file__, "chemistry")
facts = mini.sibling(__file__, "facts")

TEMPLATES: dict[str, mini.Template] = {
    "motion": physics.motion,
    "states": facts.states,
    "density": physics.density,
    "food_chain": facts.food_chain,
    "circuit": physics.circuit,
    "punnett": facts.punnett,
    "work": physics.work,
    "atom": facts.atom,
    "reaction": chemistry.reaction,
    "planets": facts.planets,
    "acidity": chemistry.acidity,
    "units": physics.units,
}


def generate(split: mini.Split, count: int, *, start: int = 0) -> Iterator[mini.Item]:
    """Yield `count` items of the endless stream, from item `start`."""
    return mini.make_items("science", TEMPLATES, split, count, start=start)


def load(**_: object) -> DatasetDict:
    """Return the splits for lm-eval, which passes the task's metadata along."""
    return mini.load_items(generate)
