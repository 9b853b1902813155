"""Rules that determine a sum, a date or validity: fines, inheritance, time limits, form of contracts."""

from __future__ import annotations

import datetime
import itertools
import random
from typing import NamedTuple

from harness.suite.generated import NAMES, Draft, join

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


def penalty(rng: random.Random, level: int) -> Draft | None:
    """A fine with a doubling and a halving (level 1), a deduction (level 2) and a cap (level 3)."""
    does, did = rng.choice(OFFENCES)
    name = rng.choice(NAMES)
    base = rng.choice((40, 60, 80, 100, 120, 140, 160, 200))
    repeated, minor = rng.random() < 0.5, rng.random() < 0.5
    prompt = level > 1 and rng.random() < 0.5
    cap = rng.choice((base * 3 // 2, base + 20)) if level == 3 else None
    right = fine(base, repeated=repeated, minor=minor, prompt=prompt, cap=cap)
    flags = itertools.product((True, False), (True, False), (True, False) if level > 1 else (False,), {cap, None})
    if right == base and rng.random() < 0.6:
        return None  # otherwise the number in section 1 is often the answer
    others = {fine(base, repeated=r, minor=m, prompt=p, cap=c) for r, m, p, c in flags} | {
        base * 2,
        base // 2,
        base * 3,
        base * 4,
    }
    wrong = sorted(others - {right})
    if len(wrong) < 3:
        return None
    sections = [
        f"Section 1: Whoever {does} pays a fine of {base} crowns.",
        "Section 2: The fine is doubled if the offender was fined for the same offence in the past two years.",
        "Section 3: It is then halved if the offender is under 18.",
    ]
    if cap is not None:
        sections.append(f"Section 4: After sections 2 and 3, no fine is higher than {cap} crowns.")
    if level > 1:
        sections.append(f"Section {len(sections) + 1}: Last, 10 crowns are taken off if it is paid within a week.")
    age = rng.choice((14, 15, 16, 17)) if minor else rng.choice((19, 24, 35, 52))
    before = "eight months ago" if repeated else rng.choice(("five years ago", "three years ago"))
    facts = f"{name}, aged {age}, {did}. {name} was fined for the same offence {before}"
    paid = f" and pays {'after three days' if prompt else 'after a month'}" if level > 1 else ""
    return Draft(
        question=f"{' '.join(sections)} Case: {facts}{paid}. How much must {name} pay?",
        correct=f"{right} crowns",
        wrong=[f"{x} crowns" for x in wrong],
        rationale=_steps(base, repeated=repeated, minor=minor, prompt=prompt, cap=cap, right=right),
    )


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


def inheritance(rng: random.Random, level: int) -> Draft | None:
    """An estate divided among a spouse and children (1), a dead child's children (2), and after a gift (3)."""
    children = rng.choice((2, 3, 4, 5))
    heirs = rng.sample(NAMES, children + 2)
    spouse, owner, kids = heirs[0], heirs[1], heirs[2:]
    grandchildren = rng.choice((2, 3)) if level > 1 else 0
    estate = rng.choice((600, 900, 1200, 1800, 2400, 3600, 4800, 6000, 7200, 9000))
    part = rng.choice((2, 3))
    gift = rng.choice((60, 120, 180, 240)) if level == 3 else 0
    pot = estate - estate // part + gift
    units = children * max(grandchildren, 1)
    if estate % part or pot % units or pot // children <= gift:
        return None
    share = pot // children
    dead, favoured = kids[0], kids[-1]
    fraction = "half" if part == 2 else "a third"
    sections = [f"Section 1: The spouse receives {fraction} of the estate; the children share the rest equally."]
    if level > 1:
        sections.append(
            "Section 2: The share of a child who has died goes in equal parts to that child's own children."
        )
    if level == 3:
        sections.append(
            "Section 3: Before the children's part is divided, a gift that a child received in the owner's lifetime is "
            "added to it, and it is then taken off that child's share."
        )
    facts = [f"{owner} dies and leaves {estate} crowns, a spouse, {spouse}, and {children} children: {join(kids)}."]
    if level > 1:
        facts = [
            f"{owner} dies and leaves {estate} crowns and a spouse, {spouse}. {owner} had {children} children: "
            f"{join(kids)}.",
            f"{dead} died earlier and left {grandchildren} children.",
        ]
    if level == 3:
        facts.append(f"{favoured} once received a gift of {gift} crowns from {owner}.")
    asked, right, why = rng.choice(
        [
            [(kids[1], share, f"{kids[1]} receives {{x}} crowns")],
            [
                (f"each of {dead}'s children", share // max(grandchildren, 1), "each grandchild gets {x} crowns"),
                (spouse, estate // part, f"the spouse's {fraction} is {{x}} crowns"),
            ],
            [
                (f"each of {dead}'s children", share // max(grandchildren, 1), "each grandchild gets {x} crowns"),
                (favoured, share - gift, "the share less the gift is {x} crowns"),
            ],
        ][level - 1]
    )
    guesses = {
        estate // children,
        estate // part // children,
        share,
        share + gift,
        share - gift,
        estate // (children + 1),
    }
    guesses |= {share // 2, share // 3, estate // part, (estate - estate // part) // children, pot // (children + 1)}
    wrong = sorted(g for g in guesses if g != right and g > 0)
    if len(wrong) < 3 or (level == 3 and children == 2 and asked == kids[1] != favoured):
        return None
    added = f" With the gift it counts as {pot} crowns." if level == 3 else ""
    return Draft(
        question=f"{' '.join(sections)} Case: {' '.join(facts)} How much does {asked} receive?",
        correct=f"{right} crowns",
        wrong=[f"{x} crowns" for x in wrong],
        rationale=f"The children's part is {estate - estate // part} crowns.{added} Divided by {children}, a share "
        f"is {share} "
        f"crowns, so {why.format(x=right)}."
        if asked != spouse
        else f"Section 1 gives the spouse {fraction} of {estate} crowns, so {why.format(x=right)}.",
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


def time_limit(rng: random.Random, level: int) -> Draft:
    """The last day of a time limit: plain (1), moved by a weekend (2), longer for those who live abroad (3)."""
    paper, event, short = rng.choice(PAPERS)
    name = rng.choice(NAMES)
    start = datetime.date(rng.choice((2021, 2022, 2023, 2025)), rng.randrange(1, 13), rng.randrange(1, 29))
    days = rng.choice((7, 10, 12, 14, 20, 21))
    extra = rng.choice((5, 7, 10)) if level == 3 else 0
    lives_abroad = level == 3 and rng.random() < 0.5
    abroad = extra if lives_abroad else 0
    right = deadline(start, days, abroad=abroad, weekend_moves=level > 1)
    guesses = {start + datetime.timedelta(days=days + a + e) for a in (0, extra) for e in (-1, 0, 1)}
    guesses |= {right + datetime.timedelta(days=d) for d in (-7, -3, -2, -1, 1, 2, 3, 7)}
    sections = [
        f"Section 1: {paper} must be filed within {days} days of the day on which {event}; that day is not counted."
    ]
    if level > 1:
        sections.append("Section 2: If the last day is a Saturday or a Sunday, the time ends on the Monday after it.")
    if level == 3:
        sections.append(f"Section 3: For a person who lives abroad the time is {extra} days longer.")
    lives = "" if level < 3 else f" {name} lives {'abroad' if lives_abroad else 'in the country'}."
    return Draft(
        question=f"{' '.join(sections)} Case: for {name}, {event} on {_date(start)} {start.year}.{lives} "
        f"What is the last day on which {name} can file {short}?",
        correct=_date(right),
        wrong=[_date(g) for g in _around(rng, right, guesses)],
        rationale=_count(start, days, abroad, right),
    )


def _around(rng: random.Random, right: datetime.date, guesses: set[datetime.date]) -> list[datetime.date]:
    """Three wrong dates, a random number of which are earlier than the right one."""
    earlier = rng.randrange(4)
    before, after = sorted(g for g in guesses if g < right), sorted(g for g in guesses if g > right)
    return rng.sample(before, earlier) + rng.sample(after, 3 - earlier)


def _date(day: datetime.date) -> str:
    return f"{day:%A} {day.day} {day:%B}"


def _count(start: datetime.date, days: int, abroad: int, right: datetime.date) -> str:
    last = start + datetime.timedelta(days=days + abroad)
    total = f"{days} days" if not abroad else f"{days} and {abroad} days"
    moved = "" if last == right else f" Since that is a weekend, the time ends on {_date(right)}."
    return f"Counting {total} from the day after {_date(start)} leads to {_date(last)}.{moved}"


class Deal(NamedTuple):
    """A kind of contract: its wording, and its long and short terms in years."""

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
FORMS = ("It is valid for {y} years.", "It is valid for one year.", "It is void.", "The {t} may cancel it.")


def validity(*, years: int, limit: int, written: bool, begun: bool, minor: bool, level: int) -> int:
    """Return the index into `FORMS` of the contract's legal state."""
    formless = years > limit and not written
    if level == 1:
        return 3 if minor else 0 if not formless else 1 if begun else 2
    if level == 2:  # void takes precedence over open to cancellation
        return (1 if begun else 2) if formless else 3 if minor else 0
    return 3 if minor and not begun else 0 if not formless else 1 if begun else 2


def contract(rng: random.Random, level: int) -> Draft:
    """The form of a contract, part performance, and a young party; the levels differ in which section prevails."""
    deal, name = rng.choice(DEALS), rng.choice(NAMES)
    limit, aim = rng.choice((2, 3, 4)), rng.randrange(4)
    while True:
        years = rng.choice((limit - 1, limit, limit + 2, limit + 5)) if limit > 2 else rng.choice((2, 4, 6))
        written, begun, minor = rng.random() < 0.5, rng.random() < 0.5, rng.random() < 0.4
        if validity(years=years, limit=limit, written=written, begun=begun, minor=minor, level=level) == aim:
            break
    sections = [
        f"Section 1: A contract for the {deal.noun} for more than {limit} years must be in writing; otherwise it "
        "is void.",
        f"Section 2: If the {deal.taker} {deal.begun}, a contract that section 1 makes void is valid for one year "
        "instead.",
        f"Section 3: A {deal.taker} under 18 may cancel the contract.",
        {
            1: "Section 4: Section 3 prevails over sections 1 and 2.",
            2: "Section 4: Sections 1 and 2 prevail over section 3.",
            3: f"Section 4: Section 3 prevails over section 1, but does not apply once the {deal.taker} {deal.begun}.",
        }[level],
    ]
    age = rng.choice((16, 17)) if minor else rng.choice((22, 31, 47, 60))
    facts = (
        f"{name}, aged {age}, agrees {'in writing' if written else 'by word of mouth'} with the {deal.giver} on the "
        f"{deal.noun} for {years} years. {name}, the {deal.taker}, {deal.begun if begun else deal.not_begun}."
    )
    outcomes = [text.format(y=years, t=deal.taker) for text in FORMS]
    return Draft(
        question=f"{' '.join(sections)} Case: {facts} What is the state of the contract?",
        correct=outcomes[aim],
        wrong=[text for i, text in enumerate(outcomes) if i != aim],
        rationale=_contract_why(aim, years, limit, written=written, taker=deal.taker),
    )


def _contract_why(aim: int, years: int, limit: int, *, written: bool, taker: str) -> str:
    if aim == 3:
        return f"The {taker} is under 18 and nothing here prevails over section 3, so the {taker} may cancel it."
    if aim == 0:
        form = "is in writing" if written else f"is not for more than {limit} years, so it needs no writing"
        return (
            f"The contract {form}, and section 3 does not help the {taker}, so it is valid for {years} years as agreed."
        )
    tail = "section 2 saves it for one year" if aim == 1 else "section 2 does not save it, so it is void"
    return f"A contract for {years} years, more than {limit}, by word of mouth falls under section 1; {tail}."
