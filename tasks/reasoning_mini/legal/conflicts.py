"""Which rule prevails: the later Act over the earlier, the special over the general; and which court hears a claim."""

from __future__ import annotations

import itertools
import random
from typing import NamedTuple

from harness.suite.generated import NAMES, Draft

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


def later_act(rng: random.Random, level: int) -> Draft | None:
    """Four Acts on one subject; which governs an event? From level 2 an Act starts late; on level 3 one is repealed."""
    title, what, deed = rng.choice(SUBJECTS)
    name = rng.choice(NAMES)
    passed = sorted(rng.sample(range(1950, 2021, 3), 4))
    if min(b - a for a, b in itertools.pairwise(passed)) < 6:
        return None
    amounts = rng.sample(range(6, 60, 2), 4)
    acts = [Act(y, y + (rng.choice((2, 3)) if level > 1 else 1), None, x) for y, x in zip(passed, amounts, strict=True)]
    if level == 3:
        gone = rng.randrange(1, 4)
        acts[gone] = acts[gone]._replace(end=acts[gone].start + rng.choice((1, 2)))
    year = rng.choice([y for y in range(acts[0].start, passed[-1] + 8) if all(y != a.passed for a in acts)])
    if level > 1 and rng.random() < 0.5:
        year = rng.choice(passed[1:]) + 1  # passed, but not yet in force
    repealed = next((a for a in acts if a.end is not None), None)
    if repealed is not None and repealed.end is not None and rng.random() < 0.5:
        year = repealed.end + 1  # the Act before it may govern again
    if year < acts[0].start:
        return None
    governs = in_force(acts, year)
    told = [
        f"The {title} {a.passed}, in force from 1 January {a.start}, sets {what} at {a.amount} crowns." for a in acts
    ]
    told += [
        f"The {title} {a.passed} was repealed, and lost its force, on 31 December {a.end}."
        for a in acts
        if a.end is not None
    ]
    rule = "If several Acts are in force, the one passed last prevails."
    if level == 3:
        rule += " When an Act is repealed, the Act before it counts again."
    month = rng.choice(("March", "June", "September"))
    return Draft(
        question=f"{' '.join(told)} {rule} In {month} {year} {name} {deed}. How much does {name} owe?",
        correct=f"{governs.amount} crowns",
        wrong=[f"{a.amount} crowns" for a in acts if a is not governs],
        rationale=f"Of the Acts in force in {year}, the {title} {governs.passed} is the one passed last. It sets "
        f"{what} at "
        f"{governs.amount} crowns.",
    )


class Fares(NamedTuple):
    """Classes of cases, from general to special, each as (words of the section, facts of a case in the class)."""

    what: str
    classes: tuple[tuple[str, str], tuple[str, str], tuple[str, str], tuple[str, str]]
    extends: tuple[int, int, int, int]


FARES = (
    Fares(
        "ferry fare",
        (
            ("any passenger", "{n}, on foot and from the mainland, takes the ferry."),
            ("a passenger with a bicycle", "{n}, from the mainland, takes a bicycle on the ferry."),
            (
                "a passenger with a bicycle who lives on the island",
                "{n} lives on the island and takes a bicycle along.",
            ),
            ("a passenger without a bicycle who lives on the island", "{n} lives on the island and travels on foot."),
        ),
        (0, 0, 1, 0),
    ),
    Fares(
        "entrance fee of the museum",
        (
            ("any visitor", "{n}, 40 years old and from abroad, visits the museum on a Monday."),
            ("a visitor who is a student", "{n}, a student, visits the museum on a Monday."),
            ("a visitor who is a student, on a Sunday", "{n}, a student, visits the museum on a Sunday."),
            ("a visitor who is not a student, on a Sunday", "{n}, a retired cook, visits the museum on a Sunday."),
        ),
        (0, 0, 1, 0),
    ),
    Fares(
        "yearly licence for a vehicle",
        (
            ("any vehicle", "{n} owns a petrol car."),
            ("an electric vehicle", "{n} owns an electric car."),
            ("an electric vehicle with two wheels", "{n} owns an electric scooter with two wheels."),
            ("a petrol vehicle with two wheels", "{n} owns a motorcycle that runs on petrol."),
        ),
        (0, 0, 1, 0),
    ),
    Fares(
        "price of a place in the town camp",
        (
            ("any guest", "{n} arrives with a tent in April."),
            ("a guest with a caravan", "{n} arrives with a caravan in April."),
            ("a guest with a caravan in July", "{n} arrives with a caravan in July."),
            ("a guest with a tent in July", "{n} arrives with a tent in July."),
        ),
        (0, 0, 1, 0),
    ),
    Fares(
        "fine for damage to a tree",
        (
            ("any tree", "{n} damaged a young birch in a field."),
            ("a tree in a public park", "{n} damaged a young birch in a public park."),
            ("an oak in a public park", "{n} damaged an oak in a public park."),
            ("an oak outside public parks", "{n} damaged an oak in a field."),
        ),
        (0, 0, 1, 0),
    ),
)


def special(rng: random.Random, level: int) -> Draft:
    """General and special sections, in any order; the most special one prevails.

    Level 1 lists them from general to special, level 2 in any order, level 3 adds that part of them came later.
    """
    fares, name = rng.choice(FARES), rng.choice(NAMES)
    amounts = [5 * k for k in rng.sample(range(2, 30), 4)]
    case = rng.randrange(4)
    order = list(range(4)) if level == 1 else rng.sample(range(4), 4)
    years = sorted(rng.sample(range(1960, 2020), 4)) if level == 3 else []
    sections = []
    for place, k in enumerate(order):
        since = f" (added in {years[place]})" if years else ""
        sections.append(f"Section {place + 1}{since}: for {fares.classes[k][0]}, {amounts[k]} crowns.")
    rule = "Where several sections fit, the most special one prevails"
    rule += ", even over a section added later." if years else "."
    fact = fares.classes[case][1].format(n=name)
    return Draft(
        question=f"The {fares.what} is as follows. {' '.join(sections)} {rule} {fact} How much does {name} pay?",
        correct=f"{amounts[case]} crowns",
        wrong=[f"{amount} crowns" for k, amount in enumerate(amounts) if k != case],
        rationale=f"The most special section that fits is section {order.index(case) + 1}, for "
        f"{fares.classes[case][0]}. It "
        f"sets {amounts[case]} crowns.",
    )


COURTS = ("the village court", "the district court", "the high court", "the land court")
GUILD = "the guild court"


def court(rng: random.Random, level: int) -> Draft:
    """Which court hears a claim: by value, by subject (level 1), by the parties (2), and what prevails (3)."""
    low, high = rng.choice((500, 800, 1000)), rng.choice((5000, 6000, 8000))
    a, b = rng.sample(NAMES, 2)
    aims = [*COURTS, *([GUILD] if level > 1 else [])]
    aim = rng.choice(aims)
    while True:
        value = rng.choice(
            (rng.randrange(100, low, 50), rng.randrange(low + 100, high, 100), rng.randrange(high + 500, 20000, 500))
        )
        land, guild = rng.random() < 0.35, level > 1 and rng.random() < 0.4
        if competent(level, low, high, value, land, guild) == aim:
            break
    sections = [
        f"Section 1: Claims of up to {low} crowns go to the village court, claims above that and up to {high} "
        "crowns to the "
        "district court, and higher claims to the high court.",
        "Section 2: A claim about land goes to the land court, whatever its value.",
    ]
    if level > 1:
        sections.append("Section 3: A claim between two members of the merchants' guild goes to the guild court.")
    if level == 2:
        sections.append("Section 4: Section 2 prevails over section 3.")
    if level == 3:
        sections.append(
            f"Section 4: Section 3 prevails over section 2, but does not apply to claims above {high} crowns."
        )
    about = "a strip of land" if land else rng.choice(("an unpaid bill", "a broken cart", "a load of cloth"))
    who = ""
    if level > 1:
        who = (
            f" {a} and {b} are both members of the merchants' guild."
            if guild
            else f" Only {a} is a member of the guild."
        )
    return Draft(
        question=f"{' '.join(sections)} {a} claims {value} crowns from {b} in a dispute about {about}.{who} "
        "Which court hears the claim?",
        correct=aim,
        wrong=[c for c in aims if c != aim],
        rationale=f"{_why(aim, about, value, low, high)} So the claim goes to {aim}.",
    )


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
