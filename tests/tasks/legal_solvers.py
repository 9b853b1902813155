"""Legal answers worked out anew from the text of an item. Where a case leaves something open, every reading counts."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from fractions import Fraction

# What the sections and the cases may say of a thing, as (says yes, says no); a text that says neither leaves it open.
TRAITS = (
    (r"with a bicycle|takes a bicycle|bicycle along", r"without a bicycle"),
    (r"on the island", r"on the mainland"),
    (r"is a student|, a student,", r"not a student"),
    (r"on a Sunday", r"on a Monday"),
    (r"electric", r"petrol"),
    (r"two wheels", r"four wheels"),
    (r"with a caravan", r"without a caravan"),
    (r"with a tent", r"without a tent"),
    (r"in July", r"in April"),
    (r"\boak\b", r"\bbirch\b"),
    (r"in a public park", r"outside the public parks"),
)


def _traits(text: str) -> list[bool | None]:
    """For each trait whether the text says yes, no or nothing."""
    return [False if re.search(no, text) else True if re.search(yes, text) else None for yes, no in TRAITS]


def special(question: str, choices: Sequence[str]) -> list[str]:
    """Go over all cases that the facts leave possible; the fitting section with the most conditions prevails."""
    law, case = re.split(r"Where several sections fit.*?\. ", question, maxsplit=1)
    sections = [
        (_traits(text), amount) for text, amount in re.findall(r"Section \d[^:]*: for (.+?), (\d+) crowns", law)
    ]
    facts = _traits(case)
    relevant = [i for i in range(len(TRAITS)) if any(wanted[i] is not None for wanted, _ in sections)]
    amounts = set()
    for filled in itertools.product(*((True, False) if facts[i] is None else (facts[i],) for i in relevant)):
        known = dict(zip(relevant, filled, strict=True))
        fits = [s for s in sections if all(s[0][i] in (None, known[i]) for i in relevant)]
        most = max(sum(w is not None for w in wanted) for wanted, _ in fits)
        amounts |= {amount for wanted, amount in fits if sum(w is not None for w in wanted) == most}
    return [c for c in choices if c.split()[0] in amounts]


def court(question: str, choices: Sequence[str]) -> list[str]:
    """Collect the courts that any section names, and drop those over which another section prevails."""
    low, high = map(int, re.findall(r"up to (\d+) crowns", question))
    value = int(re.findall(r"claims (\d+) crowns from", question)[0])
    prevails = "Section 3 prevails over section 2" in question
    land, guild = "strip of land" in question, "are both members" in question
    if guild and "does not apply to claims above" in question and value > high:
        guild = False
    courts = (["the land court"] if land else []) + (["the guild court"] if guild else [])
    if land and guild:
        courts = ["the guild court"] if prevails else ["the land court"]
    general = "the village court" if value <= low else "the district court" if value <= high else "the high court"
    assert "Unless another section names a court" in question
    return [c for c in choices if c in (courts or [general])]


def inheritance(question: str, choices: Sequence[str]) -> list[str]:
    """Share out the estate person by person, in fractions."""
    owner = re.findall(r"Case: (\w+) dies", question)[0]
    crowns = Fraction(re.findall(r"leaves (\d+) crowns", question)[0])
    spouse = re.findall(r"a spouse, (\w+)", question)[0]
    kids = re.findall(r"\w+", re.findall(r"children: ([\w, ]+)\.", question)[0].replace(" and ", ", "))
    assert len(kids) == int(re.findall(r"(\d+) children:", question)[0])
    received = {spouse: crowns / 2 if "receives half" in question else crowns / 3}
    gifts = {
        name: int(gift)
        for name, gift in re.findall(rf"(\w+) once received a gift of (\d+) crowns from {owner}", question)
    }
    share = (crowns - received[spouse] + sum(gifts.values())) / len(kids)
    received |= {kid: share - gifts.get(kid, 0) for kid in kids}
    assert sum(received.values()) == crowns
    for dead, number in re.findall(r"(\w+) died earlier and left (\d+) children", question):
        received[f"each of {dead}'s children"] = received.pop(dead) / int(number)
    asked = re.findall(r"How much does (.+) receive\?", question)[0]
    return [c for c in choices if c == f"{received[asked]} crowns"]


def contract(question: str, choices: Sequence[str]) -> list[str]:
    """Apply the sections that hold for the case, then what the last section says of their conflict."""
    law, case = question.split(" Case: ")
    years, limit = int(re.findall(r"for (\d+) years\.", case)[0]), int(re.findall(r"more than (\d+) years", law)[0])
    minor = int(re.findall(r"aged (\d+)", case)[0]) < 18
    begun = re.findall(r"If the \w+ (has .+?), a contract", law)[0] in case
    formless = years > limit and "in writing" not in case
    if "Section 4: Section 3 prevails over sections 1 and 2" in law:
        free = minor
    elif "Sections 1 and 2 prevail" in law:
        free = minor and not formless
    else:
        free = minor and not begun
    if free:
        return [c for c in choices if "not bound" in c]
    state = "one year" if formless and begun else "void" if formless else f"{years} years"
    return [c for c in choices if c.endswith(f"{state}.")]
