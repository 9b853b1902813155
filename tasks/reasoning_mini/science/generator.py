"""Science: facts and quantities computed from tables and laws in the question or from school science."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from harness.suite import generated

if TYPE_CHECKING:
    from datasets import DatasetDict

physics = generated.sibling(__file__, "physics")
chemistry = generated.sibling(__file__, "chemistry")
facts = generated.sibling(__file__, "facts")

TEMPLATES: dict[str, generated.ItemTemplate] = {
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


def generate(split: generated.Split, count: int, *, start: int = 0) -> Iterator[generated.GeneratedItem]:
    """Yield `count` items of the infinite stream, from item `start`."""
    return generated.make_items("science", TEMPLATES, split, count, start=start)


def load(**_: object) -> DatasetDict:
    """Return the splits for lm-eval, which also passes the task's metadata."""
    return generated.load_items(generate)
