"""Rules that determine a sum, a date or validity: fines, inheritance, time limits, form of contracts."""

from __future__ import annotations

import datetime
import random
from collections.abc import Sequence
from typing import NamedTuple

from harness.suite.generated import NAMES, Draft, Scene, join

OFFENCES = (
    ("lights a fire in the forest", "lit a fire in the forest"),
    ("fishes without a licence", "fished without a licence"),
    ("leaves rubbish on the beach", "left rubbish on the beach"),
    ("rides a horse through the park", "rode a horse through the park"),
    ("sells goods without a stamp", "sold goods without a stamp"),
    ("rings bells after midnight", "rang bells after midnight"),
)


def fine(base: int, *, repeated: bool, minor: bool, prompt: bool, cap: int | None) -> int:
    """Return the fine: doubled if repeated, then halved for a minor, then capped, then less ten if paid promptly."""
    amount = base * 2 if repeated else base
    amount = amount // 2 if minor else amount
    amount = amount if cap is None else min(amount, cap)
    return amount - 10 if prompt else amount


def penalty(rng: random.Random, level: int) -> Scene:
    """A fine with a doubling and a deduction (level 1), a halving between them (level 2) and a cap (level 3)."""
    does, did = rng.choice(OFFENCES)
    name = rng.choice(NAMES)
    base = rng.randrange(40, 420, 20)
    cap = rng.choice((base * 3 // 2, base + 20)) if level == 3 else None
    law = " ".join(f"Section {i}: {section}" for i, section in enumerate(_penalty_law(does, base, cap, level), 1))
    unit = f"{level} {base} {cap}"

    def ask(rng: random.Random) -> Draft:
        repeated, prompt = rng.random() < 0.5, rng.random() < 0.5
        minor = level > 1 and rng.random() < 0.5
        right = fine(base, repeated=repeated, minor=minor, prompt=prompt, cap=cap)
        age = rng.choice((14, 15, 16, 17)) if minor else rng.choice((19, 24, 35, 52))
        before = "eight months ago" if repeated else rng.choice(("five years ago", "three years ago"))
        who = f"{name}, aged {age}, {did}." if level > 1 else f"{name} {did}."
        facts = f"{who} {name} was fined for the same offence {before}. "
        facts += f"{name} pays the new fine {'after three days' if prompt else 'after a month'}"
        return Draft(
            question=f"{law} Case: {facts}. How much must {name} pay?",
            answer=f"{right} crowns",
            rationale=_steps(base, repeated=repeated, minor=minor, prompt=prompt, cap=cap, right=right),
            structure=f"{unit} {repeated} {minor} {prompt}",
            unit=unit,
        )

    return ask


def _penalty_law(does: str, base: int, cap: int | None, level: int) -> list[str]:
    sections = [
        f"Whoever {does} pays a fine of {base} crowns.",
        "The fine is doubled if the offender was fined for the same offence in the past two years.",
    ]
    if level > 1:
        sections.append("It is then halved if the offender is under 18.")
    if cap is not None:
        sections.append(f"After sections 2 and 3, no fine is higher than {cap} crowns.")
    return [*sections, "Last, 10 crowns are taken off if the fine is paid within a week."]


def _steps(base: int, *, repeated: bool, minor: bool, prompt: bool, cap: int | None, right: int) -> str:
    steps, amount = [f"The fine starts at {base} crowns"], base
    if repeated:
        amount *= 2
        steps.append(f"is doubled to {amount}")
    if minor:
        amount //= 2
        steps.append(f"is halved to {amount}")
    if cap is not None and amount > cap:
        steps.append(f"is cut to the limit of {cap}")
    if prompt:
        steps.append("is reduced by 10 for early payment")
    if len(steps) == 1:
        steps.append("nothing changes it")
    return f"{join(steps)}. That makes {right} crowns."


ESTATES = tuple(range(600, 9601, 300))


class Estate(NamedTuple):
    """What is divided: the spouse receives one part in `part`, the children the rest and the value of the gift."""

    crowns: int
    part: int
    children: int
    grandchildren: int
    gift: int

    @property
    def pot(self) -> int:
        """What the children share."""
        return self.crowns - self.crowns // self.part + self.gift

    @property
    def share(self) -> int:
        return self.pot // self.children

    @property
    def whole(self) -> bool:
        """Whether all sums are whole numbers and the gift is less than a share."""
        units = self.children * max(self.grandchildren, 1)
        return self.crowns % self.part == 0 and self.pot % units == 0 and self.share > self.gift


def inheritance(rng: random.Random, level: int) -> Scene:
    """An estate divided among a spouse and children (1), a dead child's children (2), and after a gift (3)."""
    spouse, owner, *names = rng.sample(NAMES, 7)
    crowns, gift = rng.choice(ESTATES), rng.choice((60, 120, 180, 240)) if level == 3 else 0

    def ask(rng: random.Random) -> Draft | None:
        grandchildren = rng.choice((2, 3)) if level > 1 else 0
        estate = Estate(crowns, rng.choice((2, 3)), rng.choice((2, 3, 4, 5)), grandchildren, gift)
        if not estate.whole:
            return None
        kids = names[: estate.children]
        fraction = "half" if estate.part == 2 else "a third"
        each = (
            f"each of {kids[0]}'s children",
            estate.share // max(grandchildren, 1),
            "each grandchild gets {x} crowns",
        )
        asked, right, why = rng.choice(
            [
                [(kids[1], estate.share, f"{kids[1]} receives {{x}} crowns")],
                [each, (spouse, crowns // estate.part, f"the spouse's {fraction} is {{x}} crowns")],
                [each, (kids[-1], estate.share - gift, "the share less the gift is {x} crowns")],
            ][level - 1]
        )
        question = (
            f"{_inheritance_law(fraction, level)} Case: {_family(estate, owner, spouse, kids)} "
            f"How much does {asked} receive?"
        )
        return Draft(
            question=question,
            answer=f"{right} crowns",
            rationale=f"Section 1 gives the spouse {fraction} of {crowns} crowns, so {why.format(x=right)}."
            if asked == spouse
            else _division(estate, why.format(x=right)),
        )

    return ask


def _inheritance_law(fraction: str, level: int) -> str:
    sections = [
        f"Section 1: The spouse receives {fraction} of the estate; the children share the rest equally.",
        "Section 2: The share of a child who has died goes in equal parts to that child's own children.",
        "Section 3: Before the children's part is divided, a gift that a child received in the owner's lifetime is "
        "added to it, and it is then taken off that child's share.",
    ]
    return " ".join(sections[:level])


def _family(estate: Estate, owner: str, spouse: str, kids: Sequence[str]) -> str:
    if not estate.grandchildren:
        return (
            f"{owner} dies and leaves {estate.crowns} crowns, a spouse, {spouse}, and {len(kids)} children: "
            f"{join(kids)}."
        )
    gift = f" {kids[-1]} once received a gift of {estate.gift} crowns from {owner}." if estate.gift else ""
    return (
        f"{owner} dies and leaves {estate.crowns} crowns and a spouse, {spouse}. {owner} had {len(kids)} children: "
        f"{join(kids)}. {kids[0]} died earlier and left {estate.grandchildren} children.{gift}"
    )


def _division(estate: Estate, why: str) -> str:
    added = f" With the gift it counts as {estate.pot} crowns." if estate.gift else ""
    return (
        f"The children's part is {estate.pot - estate.gift} crowns.{added} Divided by {estate.children}, a share is "
        f"{estate.share} crowns, so {why}."
    )


PAPERS = (
    ("An appeal against a decision", "the decision was delivered", "the appeal"),
    ("An objection to a tax bill", "the bill was delivered", "the objection"),
    ("A claim for a lost parcel", "the parcel was due", "the claim"),
    ("A complaint about a neighbour's fence", "the fence was finished", "the complaint"),
    ("A request to see the town's accounts", "the accounts were closed", "the request"),
)


def deadline(start: datetime.date, days: int, *, abroad: int, weekend_moves: bool) -> datetime.date:
    """Return the last day: `start` is not counted, `abroad` days are added, and a weekend may move it to Monday."""
    last = start + datetime.timedelta(days=days + abroad)
    if weekend_moves and last.weekday() >= 5:
        last += datetime.timedelta(days=7 - last.weekday())
    return last


def time_limit(rng: random.Random, level: int) -> Scene:
    """The last day of a time limit: plain (1), moved by a weekend (2), longer for those who live abroad (3)."""
    paper, event, short = rng.choice(PAPERS)
    name = rng.choice(NAMES)
    first = datetime.date(rng.choice((2021, 2022, 2023, 2025)), rng.randrange(1, 13), rng.randrange(1, 29))
    days = rng.choice((7, 10, 12, 14, 20, 21))
    extra = rng.choice((3, 5, 7)) if level == 3 else 0
    sections = [
        f"Section 1: {paper} must be filed within {days} days of the day on which {event}; that day is not counted.",
        "Section 2: If the last day is a Saturday or a Sunday, the time ends on the Monday after it.",
        f"Section 3: For a person who lives abroad the time is {extra} days longer.",
    ]

    def ask(rng: random.Random) -> Draft:
        start = first + datetime.timedelta(days=rng.randrange(12))
        abroad = level == 3 and rng.random() < 0.5
        right = deadline(start, days, abroad=extra if abroad else 0, weekend_moves=level > 1)
        lives = "" if level < 3 else f" {name} lives {'abroad' if abroad else 'in the country'}."
        return Draft(
            question=f"{' '.join(sections[:level])} Case: for {name}, {event} on {_date(start)} {start.year}.{lives} "
            f"What is the last day on which {name} can file {short}?",
            answer=f"{right.day} {right:%B}",
            rationale=_count(start, days, extra if abroad else 0, right),
            structure=f"{level} {start} {days} {extra} {abroad}",
        )

    return ask


def _date(day: datetime.date) -> str:
    return f"{day:%A} {day.day} {day:%B}"


def _count(start: datetime.date, days: int, abroad: int, right: datetime.date) -> str:
    last = start + datetime.timedelta(days=days + abroad)
    total = f"{days} days" if not abroad else f"{days} and {abroad} days"
    moved = "" if last == right else f" Since that is a weekend, the time ends on {_date(right)}."
    return f"Counting {total} from the day after {_date(start)} leads to {_date(last)}.{moved}"


class Deal(NamedTuple):
    """A kind of contract: its name, its parties, and how to say that the taker has begun to perform it, or has not."""

    noun: str
    giver: str
    taker: str
    begun: str
    not_begun: str


DEALS = (
    Deal("lease of land", "owner", "tenant", "has moved in and paid the first rent", "has neither moved in nor paid"),
    Deal(
        "hire of a boat", "owner", "hirer", "has taken the boat and paid the first month", "has not yet taken the boat"
    ),
    Deal(
        "lease of a shop",
        "landlord",
        "tenant",
        "has opened the shop and paid a month's rent",
        "has not opened the shop",
    ),
    Deal(
        "hire of a barn",
        "farmer",
        "hirer",
        "has filled the barn and paid the first rent",
        "has not used or paid for it",
    ),
)
FORMS = (
    "It binds both parties for {y} years.",
    "It binds both parties for one year.",
    "It is void.",
    "The {t} is not bound and may cancel it.",
)


def validity(*, years: int, limit: int, written: bool, begun: bool, minor: bool, level: int) -> int:
    """Return the index into `FORMS` of the contract's legal state."""
    formless = years > limit and not written
    if level == 1:
        return 3 if minor else 0 if not formless else 1 if begun else 2
    if level == 2:  # void takes precedence over open to cancellation
        return (1 if begun else 2) if formless else 3 if minor else 0
    return 3 if minor and not begun else 0 if not formless else 1 if begun else 2


def contract(rng: random.Random, level: int) -> Scene:
    """The form of a contract, part performance, and a young party; the levels differ in which section prevails."""
    deal, name, years = rng.choice(DEALS), rng.choice(NAMES), rng.randrange(3, 10)
    outcomes = [text.format(y=years, t=deal.taker) for text in FORMS]

    def ask(rng: random.Random) -> Draft:
        limit = rng.randrange(max(2, years - 3), years + 2)
        written, begun, minor = rng.random() < 0.4, rng.random() < 0.5, rng.random() < 0.4
        state = validity(years=years, limit=limit, written=written, begun=begun, minor=minor, level=level)
        age = rng.choice((16, 17)) if minor else rng.choice((22, 31, 47, 60))
        facts = (
            f"{name}, aged {age}, agrees {'in writing' if written else 'by word of mouth'} with the {deal.giver} on "
            f"the {deal.noun} for {years} years. {name}, the {deal.taker}, {deal.begun if begun else deal.not_begun}."
        )
        return Draft(
            question=f"{_contract_law(deal, limit, level)} Case: {facts} What is the state of the contract?",
            answer=outcomes[state],
            rationale=_contract_why(state, years, limit, written=written, taker=deal.taker),
            structure=f"{level} {years} {limit} {written} {begun} {minor}",
        )

    return ask


def _contract_law(deal: Deal, limit: int, level: int) -> str:
    last = {
        1: "Section 3 prevails over sections 1 and 2.",
        2: "Sections 1 and 2 prevail over section 3.",
        3: f"Section 3 prevails over section 1, but does not apply once the {deal.taker} {deal.begun}.",
    }[level]
    return (
        f"Section 1: A contract for the {deal.noun} for more than {limit} years must be in writing; otherwise it is "
        f"void. Section 2: If the {deal.taker} {deal.begun}, a contract that section 1 makes void binds both parties "
        f"for one year instead. Section 3: A {deal.taker} under 18 is not bound by the contract and may cancel it. "
        f"Section 4: {last}"
    )


def _contract_why(aim: int, years: int, limit: int, *, written: bool, taker: str) -> str:
    if aim == 3:
        return f"The {taker} is under 18 and nothing here prevails over section 3, so the {taker} is not bound."
    if aim == 0:
        form = "is in writing" if written else f"is not for more than {limit} years, so it needs no writing"
        return f"The contract {form}, and section 3 does not help the {taker}, so it binds both for {years} years."
    tail = "section 2 saves it for one year" if aim == 1 else "section 2 does not save it, so it is void"
    return f"A contract for {years} years, more than {limit}, by word of mouth falls under section 1; {tail}."
