"""Which rule prevails: the later Act over the earlier, the special over the general; and which court hears a claim."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

from harness.suite.generated import NAMES, Draft, Scene

SUBJECTS = (
    ("Harbour Act", "the mooring charge for a day", "moored a boat"),
    ("Market Act", "the fee for a stall", "put up a stall"),
    ("Bridge Act", "the toll for a cart", "took a cart over the bridge"),
    ("Fishing Act", "the fine for fishing at night", "fished at night"),
    ("Forest Act", "the charge for a load of firewood", "fetched a load of firewood"),
    ("Chimney Act", "the fine for an unswept chimney", "left a chimney unswept"),
)


class Act(NamedTuple):
    """An Act of Parliament. In force from the year `start` to the end of the year `end` (None: still in force)."""

    passed: int
    start: int
    end: int | None
    amount: int


def in_force(acts: list[Act], year: int) -> Act:
    """Return the Act that governs a year: of those in force, the one passed last."""
    return max((a for a in acts if a.start <= year and (a.end is None or year <= a.end)), key=lambda a: a.passed)


def later_act(rng: random.Random, level: int) -> Scene:
    """Four Acts on one subject; which governs an event? From level 2 an Act starts late; on level 3 one is repealed."""
    subject, name, acts = rng.choice(SUBJECTS), rng.choice(NAMES), _acts(rng, level)
    first, last = acts[0].start, acts[-1].passed + 8
    years = [y for y in range(first, last) if all(y != a.passed for a in acts)]
    # Years when an Act is passed, but not yet in force, and when the Act before it may govern again.
    telling = [a.passed + 1 for a in acts[1:] if level > 1] + [a.end + 1 for a in acts if a.end is not None]
    law, unit = _acts_law(subject[0], subject[1], acts), f"{level} {[tuple(act) for act in acts]}"

    def ask(rng: random.Random) -> Draft:
        year = rng.choice(telling) if telling and rng.random() < 0.5 else rng.choice(years)
        governs = in_force(acts, year)
        month = rng.choice(("March", "June", "September"))
        return Draft(
            question=f"{law} In {month} {year} {name} {subject[2]}. How much does {name} owe?",
            answer=f"{governs.amount} crowns",
            rationale=f"Of the Acts in force in {year}, the {subject[0]} {governs.passed} is the one passed last. It "
            f"sets {subject[1]} at {governs.amount} crowns.",
            structure=f"{unit} {year}",
            unit=unit,
        )

    return ask


def _acts(rng: random.Random, level: int) -> list[Act]:
    """Four Acts, six years or more apart, so that each governs at some time."""
    passed = list(itertools.accumulate([rng.randrange(6, 20) for _ in range(4)], initial=1944))[1:]
    amounts = rng.sample(range(6, 60, 2), 4)
    acts = [Act(y, y + (rng.choice((2, 3)) if level > 1 else 1), None, x) for y, x in zip(passed, amounts, strict=True)]
    if level == 3:
        gone = rng.randrange(1, 4)
        acts[gone] = acts[gone]._replace(end=acts[gone].start + rng.choice((1, 2)))
    return acts


def _acts_law(title: str, what: str, acts: Sequence[Act]) -> str:
    told = [
        f"The {title} {a.passed}, in force from 1 January {a.start}, sets {what} at {a.amount} crowns." for a in acts
    ]
    gone = [a for a in acts if a.end is not None]
    told += [f"The {title} {a.passed} was repealed, and lost its force, on 31 December {a.end}." for a in gone]
    told.append("If several Acts are in force, the one passed last prevails.")
    if gone:
        told.append("When an Act is repealed, the Act before it counts again.")
    return " ".join(told)


class Fares(NamedTuple):
    """Classes of cases, from general to special, each as (words of the section, facts of a case in the class).

    The third class is a part of the second. The facts say in so many words why they are in no other class.
    """

    what: str
    classes: tuple[tuple[str, str], tuple[str, str], tuple[str, str], tuple[str, str]]


FARES = (
    Fares(
        "ferry fare",
        (
            ("any passenger", "{n} lives on the mainland and takes the ferry without a bicycle."),
            ("a passenger with a bicycle", "{n} lives on the mainland and takes a bicycle on the ferry."),
            (
                "a passenger with a bicycle who lives on the island",
                "{n} lives on the island and takes a bicycle along.",
            ),
            (
                "a passenger without a bicycle who lives on the island",
                "{n} lives on the island and takes the ferry without a bicycle.",
            ),
        ),
    ),
    Fares(
        "entrance fee of the museum",
        (
            ("any visitor", "{n}, who is not a student, visits the museum on a Monday."),
            ("a visitor who is a student", "{n}, a student, visits the museum on a Monday."),
            ("a visitor who is a student, on a Sunday", "{n}, a student, visits the museum on a Sunday."),
            (
                "a visitor who is not a student, on a Sunday",
                "{n}, who is not a student, visits the museum on a Sunday.",
            ),
        ),
    ),
    Fares(
        "yearly licence for a vehicle",
        (
            ("any vehicle", "{n} owns a petrol car with four wheels."),
            ("an electric vehicle", "{n} owns an electric car with four wheels."),
            ("an electric vehicle with two wheels", "{n} owns an electric scooter with two wheels."),
            ("a petrol vehicle with two wheels", "{n} owns a petrol scooter with two wheels."),
        ),
    ),
    Fares(
        "price of a place in the town camp",
        (
            ("any guest", "{n} arrives with a tent, and without a caravan, in April."),
            ("a guest with a caravan", "{n} arrives with a caravan, and without a tent, in April."),
            ("a guest with a caravan in July", "{n} arrives with a caravan, and without a tent, in July."),
            ("a guest with a tent in July", "{n} arrives with a tent, and without a caravan, in July."),
        ),
    ),
    Fares(
        "fine for damage to a tree",
        (
            ("any tree", "{n} damaged a birch in a field outside the public parks."),
            ("a tree in a public park", "{n} damaged a birch in a public park."),
            ("an oak in a public park", "{n} damaged an oak in a public park."),
            ("an oak outside the public parks", "{n} damaged an oak in a field outside the public parks."),
        ),
    ),
)


def special(rng: random.Random, level: int) -> Scene:
    """General and special sections, in any order; the most special one prevails.

    Level 1 lists them from general to special, level 2 in any order, level 3 adds that part of them came later.
    """
    fares, name = rng.choice(FARES), rng.choice(NAMES)
    amounts = [5 * k for k in rng.sample(range(2, 30), 4)]
    order = list(range(4)) if level == 1 else rng.sample(range(4), 4)
    years = sorted(rng.sample(range(1960, 2020), 4)) if level == 3 else []
    since = [f" (added in {year})" for year in years] or [""] * 4
    sections = [
        f"Section {place + 1}{since[place]}: for {fares.classes[k][0]}, {amounts[k]} crowns."
        for place, k in enumerate(order)
    ]
    rule = "Where several sections fit, the most special one prevails"
    rule += ", even over a section added later." if years else "."
    unit = f"{order} {years} {amounts}"

    def ask(rng: random.Random) -> Draft:
        case = rng.randrange(4)
        fact = fares.classes[case][1].format(n=name)
        return Draft(
            question=f"The {fares.what} is as follows. {' '.join(sections)} {rule} {fact} How much does {name} pay?",
            answer=f"{amounts[case]} crowns",
            rationale=f"The most special section that fits is section {order.index(case) + 1}, for "
            f"{fares.classes[case][0]}. It sets {amounts[case]} crowns.",
            structure=f"{unit} {case}",
            unit=unit,
        )

    return ask


COURTS = ("the village court", "the district court", "the high court", "the land court")
GUILD = "the guild court"


def court(rng: random.Random, level: int) -> Scene:
    """Which court hears a claim: by value, by subject (level 1), by the parties (2), and what prevails (3)."""
    low, high = rng.choice((500, 800, 1000)), rng.choice((5000, 6000, 8000))
    a, b = rng.sample(NAMES, 2)
    law = _court_law(low, high, level)

    def ask(rng: random.Random) -> Draft:
        bands = range(100, low, 50), range(low + 100, high, 100), range(high + 500, 20000, 500)
        value = rng.choice(rng.choice(bands))
        land, guild = rng.random() < 0.35, level > 1 and rng.random() < 0.4
        aim = competent(level, low, high, value, land, guild)
        about = "a strip of land" if land else rng.choice(("an unpaid bill", "a broken cart", "a load of cloth"))
        who = (
            f"{a} and {b} are both members of the merchants' guild." if guild else f"Only {a} is a member of the guild."
        )
        case = f"{a} claims {value} crowns from {b} in a dispute about {about}.{f' {who}' if level > 1 else ''}"
        return Draft(
            question=f"{law} {case} Which court hears the claim?",
            answer=aim,
            rationale=f"{_why(aim, about, value, low, high)} So the claim goes to {aim}.",
            structure=f"{level} {low} {high} {value} {land} {guild}",
        )

    return ask


def _court_law(low: int, high: int, level: int) -> str:
    sections = [
        f"Section 1: Unless another section names a court, claims of up to {low} crowns go to the village court, "
        f"claims above that and up to {high} crowns to the district court, and higher claims to the high court.",
        "Section 2: A claim about land goes to the land court.",
        "Section 3: A claim between two members of the merchants' guild goes to the guild court.",
        "Section 4: Section 2 prevails over section 3."
        if level == 2
        else f"Section 4: Section 3 prevails over section 2, but does not apply to claims above {high} crowns.",
    ]
    return " ".join(sections[:2] if level == 1 else sections)


def competent(level: int, low: int, high: int, value: int, land: bool, guild: bool) -> str:
    """Return the court that hears the claim, by the sections in force on a level."""
    if level == 3 and guild and value <= high:
        return GUILD
    if land:
        return COURTS[3]
    if level == 2 and guild:
        return GUILD
    return COURTS[0] if value <= low else COURTS[1] if value <= high else COURTS[2]


def _why(aim: str, about: str, value: int, low: int, high: int) -> str:
    if aim == GUILD:
        return "Both parties are members of the guild, so section 3 applies and nothing prevails over it here."
    if aim == COURTS[3]:
        return f"The dispute is about {about}, so section 2 applies and nothing prevails over it here."
    band = (
        f"up to {low} crowns" if value <= low else f"up to {high} crowns" if value <= high else f"above {high} crowns"
    )
    return f"No special section applies to a dispute about {about} here, and {value} crowns is a value {band}."
