"""Statutes with exceptions to exceptions. The outcome depends on how far the chain applies to the case."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple

from harness.suite.generated import NAMES, Draft, Scene, join


class Condition(NamedTuple):
    """A section that suspends the section before it, with facts that meet or do not meet its condition."""

    section: str
    met: tuple[str, ...]
    missed: tuple[str, ...]


class Statute(NamedTuple):
    """`rule` is section 1; `chain[0]` is section 2, an exception to it; `chain[1]` an exception to that; and so on."""

    rule: str
    due: str
    covered: tuple[str, ...]
    uncovered: tuple[str, ...]
    chain: tuple[Condition, Condition, Condition]


STATUTES = (
    Statute(
        "Whoever brings a dog into the Town Garden must pay the dog fee.",
        "pay the dog fee",
        ("brought a dog into the Town Garden", "took a terrier into the Town Garden"),
        ("brought a cat into the Town Garden", "walked a dog in the street outside the Town Garden"),
        (
            Condition(
                "a person aged 70 or more",
                ("{n} is 74 years old.", "{n} is 81."),
                ("{n} is 45 years old.", "{n} is 66."),
            ),
            Condition("on market days", ("It was a market day.",), ("It was not a market day.",)),
            Condition(
                "a person who lives in Garden Street",
                ("{n} lives in Garden Street.",),
                ("{n} lives in Mill Lane.", "{n} lives in the next town."),
            ),
        ),
    ),
    Statute(
        "Whoever returns a library book late must pay the late fee.",
        "pay the late fee",
        ("returned a library book three days late", "returned a library book a week late"),
        ("returned a library book a day early", "returned a library book on the last day allowed"),
        (
            Condition(
                "a borrower under 16", ("{n} is 14 years old.", "{n} is 12."), ("{n} is 25 years old.", "{n} is 19.")
            ),
            Condition(
                "books from the reference room",
                ("The book came from the reference room.",),
                ("The book came from the open shelves.",),
            ),
            Condition(
                "a borrower who lives on one of the islands",
                ("{n} lives on one of the islands.",),
                ("{n} lives on the mainland.",),
            ),
        ),
    ),
    Statute(
        "Whoever sells food at the fair must hold a stall permit.",
        "hold a stall permit",
        ("sold apples at the fair", "sold carrots at the fair"),
        ("gave away apples at the fair for nothing", "let children taste carrots at the fair for nothing"),
        (
            Condition(
                "food grown in the seller's own garden",
                ("The food was grown in {n}'s own garden.",),
                ("The food was bought from a wholesaler.", "The food was grown in a neighbour's garden."),
            ),
            Condition(
                "a seller who has been fined in the past year",
                ("{n} was fined four months ago.",),
                ("{n} has never been fined.", "{n} was last fined three years ago."),
            ),
            Condition(
                "on the last evening of the fair",
                ("It was the last evening of the fair.",),
                ("It was the first day of the fair.", "It was the second evening of four."),
            ),
        ),
    ),
    Statute(
        "Whoever moors a boat at the town quay overnight must pay the mooring charge.",
        "pay the mooring charge",
        ("moored a boat at the town quay overnight", "left a sailing boat at the town quay overnight"),
        ("moored a boat at the town quay for an hour at noon", "anchored a boat overnight far out in the bay"),
        (
            Condition(
                "boats shorter than five metres",
                ("The boat is four metres long.",),
                ("The boat is nine metres long.", "The boat is six metres long."),
            ),
            Condition("in July and August", ("It was July.", "It was August."), ("It was May.", "It was October.")),
            Condition(
                "a boat that took shelter from a storm",
                ("The boat took shelter from a storm.",),
                ("There was no storm.",),
            ),
        ),
    ),
    Statute(
        "Whoever builds a wall along a public road must ask the council for leave.",
        "ask the council for leave",
        ("built a wall along a public road", "built a brick wall along a public road"),
        ("repainted an old wall along a public road", "cleaned a wall along a public road"),
        (
            Condition(
                "a wall lower than one metre",
                ("The wall is 80 centimetres high.",),
                ("The wall is two metres high.", "The wall is 130 centimetres high."),
            ),
            Condition(
                "a wall within ten metres of a crossing",
                ("The wall is six metres from a crossing.",),
                ("The nearest crossing is 200 metres away.",),
            ),
            Condition(
                "a wall that replaces an older wall of the same height",
                ("It replaced an older wall of the same height.",),
                ("No wall stood there before it.", "It replaced an older wall of half its height."),
            ),
        ),
    ),
    Statute(
        "Whoever rides a bicycle after dark must carry a lamp.",
        "carry a lamp",
        ("rode a bicycle after dark", "rode a bicycle home after dark"),
        ("rode a bicycle at noon", "pushed a bicycle home after dark without riding it"),
        (
            Condition(
                "a street with street lights",
                ("The street has street lights.",),
                ("The street has no street lights.",),
            ),
            Condition("in rain or fog", ("It was raining.", "There was thick fog."), ("The air was clear and dry.",)),
            Condition(
                "a rider on the way to an emergency",
                ("{n}, a doctor, was on the way to an emergency.",),
                ("{n}, a doctor, was on the way home.", "{n} was on the way to a concert."),
            ),
        ),
    ),
)


def reach(covered: bool, met: Sequence[bool]) -> int:
    """Return how many sections take effect in turn: 0 if section 1 does not cover the case.

    Section 1 needs the case to be covered; each further section counts only if the one before it took effect.
    """
    if not covered:
        return 0
    return next((i for i, condition in enumerate(met) if not condition), len(met)) + 1


def exceptions(rng: random.Random, level: int) -> Scene:
    """A rule and a chain of two or three exceptions, applied to a case; level 3 states the facts in mixed order."""
    statute, name = rng.choice(STATUTES), rng.choice(NAMES)
    chain = statute.chain[: min(level + 1, 3)]
    sections = [f"Section 1: {statute.rule}"] + [
        f"Section {i + 2}: Section {i + 1} does not apply {_object(c.section)}." for i, c in enumerate(chain)
    ]

    def ask(rng: random.Random) -> Draft:
        aim = rng.randrange(len(chain) + 2)
        met = [_is_met(rng, section, aim) for section in range(2, len(chain) + 2)]
        facts = [rng.choice(c.met if ok else c.missed).format(n=name) for c, ok in zip(chain, met, strict=True)]
        if level == 3:
            rng.shuffle(facts)
        deed = rng.choice(statute.covered if aim > 0 else statute.uncovered)
        result = reach(aim > 0, met)
        return Draft(
            question=f"{' '.join(sections)} Case: {name} {deed}. {' '.join(facts)} What is the legal position?",
            answer=_outcome(statute, name, result, len(chain)),
            rationale=_rationale(statute, name, result, len(chain)),
        )

    return ask


def _is_met(rng: random.Random, section: int, last: int) -> bool:
    """Draw whether a section's condition is met, where `last` is to be the last that takes effect, 0 for none.

    A later section that leads to the same verdict is never met; otherwise a second choice could also be right.
    """
    if section <= last + 1:
        return section <= last
    return (section - last) % 2 == 1 and rng.random() < 0.5


def _object(section: str) -> str:
    return section if section.startswith(("on ", "in ")) else f"to {section}"


def _outcome(statute: Statute, name: str, k: int, n_exceptions: int) -> str:
    """The outcome when exactly the first `k` sections take effect."""
    verdict = f"{name} {'must' if k % 2 else 'need not'} {statute.due}"
    if k == 0:
        return f"{verdict}, since section 1 does not cover the case."
    if k == n_exceptions + 1:
        return f"{verdict}, since section {k} applies to the case."
    return f"{verdict}, since section {k} applies and section {k + 1} does not."


def _rationale(statute: Statute, name: str, k: int, n_exceptions: int) -> str:
    if k == 0:
        return f"What {name} did is not what section 1 speaks of, so the exceptions do not matter."
    applied = join([f"section {i}" for i in range(1, k + 1)])
    stop = "" if k > n_exceptions else f"; the condition of section {k + 1} is not met"
    verb = "is" if k == 1 else "are each"
    end = "must" if k % 2 else "need not"
    return f"{applied[0].upper()}{applied[1:]} {verb} met by the facts{stop}. So {name} {end} {statute.due}."
