"""Science answers worked out anew from the text of an item, with formulas of their own."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction

NUMBER = r"(\d+(?:\.\d+)?)"


def _numbers(text: str) -> list[Fraction]:
    return [Fraction(number) for number in re.findall(r"\d+(?:\.\d+)?", text)]


def _equal(choices: Sequence[str], values: Iterable[Fraction | int]) -> list[str]:
    """The choices whose number is one of the values; powers like cm³ do not count as numbers."""
    wanted = {Fraction(value) for value in values}
    return [c for c in choices if _numbers(c)[0] in wanted]


def motion(question: str, choices: Sequence[str]) -> list[str]:
    if "How long" in question:
        distance, speed = _numbers(question)
        return _equal(choices, [distance / speed])
    stages = re.findall(r"(\d+) (minute|hour)s? at (\d+) km/h", question)
    stages += [(n, unit, v) for v, n, unit in re.findall(r"steady (\d+) km/h for (\d+) (minute|hour)s?", question)]
    return _equal(choices, [sum(Fraction(int(n) * int(v), 60 if unit == "minute" else 1) for n, unit, v in stages)])


def density(question: str, choices: Sequence[str]) -> list[str]:
    if "made of?" in question:
        table = {name: Fraction(rho) for name, rho in re.findall(rf"(\w+) {NUMBER}[,.] ", question)}
        *sides, mass = (Fraction(n) for n in re.findall(rf"{NUMBER}(?: cm| g)", question.split("block of")[1]))
        return [c for c in choices if table[c] * sides[0] * sides[1] * sides[2] == mass]
    rho, amount = _numbers(question.replace("cm³", ""))
    return _equal(choices, [rho * amount if "What is the mass" in question else amount / rho])


def circuit(question: str, choices: Sequence[str]) -> list[str]:
    ohms = [Fraction(n) for n in re.findall(r"(\d+) ohms", question)]
    volts = [Fraction(n) for n in re.findall(r"(\d+)-volt", question)]
    amperes = [Fraction(n) for n in re.findall(r"(\d+) A ", question)]
    if "parallel" in question:
        return _equal(choices, [1 / (1 / ohms[0] + 1 / ohms[1])])
    if not volts:
        return _equal(choices, [amperes[0] * ohms[0]])
    return _equal(choices, [volts[0] / (sum(ohms) if ohms else amperes[0])])


def work(question: str, choices: Sequence[str]) -> list[str]:
    if "kinetic" in question:
        mass, speed = _numbers(question)
        return _equal(choices, [mass * speed**2 / 2])
    if "Warming" in question:
        kilograms, start, end = _numbers(question)[-3:]
        return _equal(choices, [Fraction("4.2") * kilograms * (end - start)])
    mass, height = (Fraction(re.findall(rf"(\d+) {unit}\b", question)[0]) for unit in ("kg", "m"))
    seconds = re.findall(r"in (\d+) s\.", question)
    return _equal(choices, [mass * 10 * height / Fraction(seconds[0] if seconds else 1)])


METRES_GRAMS = {"metre": 1000, "gram": 1000, "millilitre": 1, "litre": 1000, "centimetre": 10, "millimetre": 1}
SIZES = METRES_GRAMS | {"kilometre": 10**6, "kilogram": 10**6, "second": 1, "minute": 60, "hour": 3600}
SIZES |= {"watt": 1, "kilowatt": 1000}  # in the smallest unit of each kind


def units(question: str, choices: Sequence[str]) -> list[str]:
    if "m/s" in question:
        return _equal(choices, [_numbers(question)[0] * 3600 / 1000])
    if "hectares" in question:
        long, wide = _numbers(question)[:2]
        return _equal(choices, [long * wide / 10000])
    amount = _numbers(question)[0]
    pairs = re.findall(r"How many (\w+)s are there in \S+ (\w+)s\?", question)
    wanted, given = pairs[0] if pairs else re.findall(r"How many (\w+)s do \S+ (\w+)s make\?", question)[0]
    return _equal(choices, [amount * SIZES[given] / SIZES[wanted]])


def food_chain(question: str, choices: Sequence[str]) -> list[str]:
    """Follow who eats whom."""
    links = question.split("In one habitat, ")[1].split(", and nothing else")[0]
    eats = dict(re.findall(r"([a-z ]+?) eat ([a-z ]+?)(?:, | and |$)", links))
    chain = [next(iter(set(eats.values()) - set(eats)))]
    while above := [eater for eater, eaten in eats.items() if eaten == chain[-1]]:
        chain += above
    if energy := re.findall(r"how much of (\d+) kJ in the .+ reaches the (.+)\?", question):
        return _equal(choices, [Fraction(int(energy[0][0]), 10 ** chain.index(energy[0][1]))])
    if dead := re.findall(r"If all the (.+) died", question):
        return [c for c in choices if c == eats[dead[0]]]
    roles = ("producers", "primary consumers", "secondary consumers", "tertiary consumers", "top predators")
    role = re.findall(r"Which are the (.+)\?", question)[0]
    return [c for c in choices if c == (chain[-1] if role == "top predators" else chain[roles.index(role)])]


def punnett(question: str, choices: Sequence[str]) -> list[str]:
    """List all combinations of one gene of each kind from either parent."""
    total = int(re.findall(r"How many of (\d+)", question)[0])
    if "independently" in question:
        traits = dict(re.findall(r"([a-z ]+?) \(([A-Za-z])\)", question.replace("is dominant over ", "")))
        traits = {name.strip(" ,").removeprefix("In "): letter for name, letter in traits.items()}
        one, two = re.findall(r"Parents (\w+) and (\w+)", question)[0]
        pairs = [list(itertools.product(one[i : i + 2], two[i : i + 2])) for i in (0, 2)]
        kids = [(*a, *b) for a, b in itertools.product(*pairs)]
        wanted = re.findall(r"to have (.+) and (.+)\?", question)[0]
        letters = [next(letter for name, letter in traits.items() if name.endswith(trait)) for trait in wanted]
        hits = [all(_shows(kid, letter) for letter in letters) for kid in kids]
        return _equal(choices, [Fraction(total * sum(hits), 16)])
    one, two = re.findall(r"a parent with the genes (\w+)", question, re.IGNORECASE)
    crossed = list(itertools.product(one, two))
    if genes := re.findall(r"have the genes (\w+)\?", question):
        return _equal(choices, [Fraction(total * sum(sorted(kid) == sorted(genes[0]) for kid in crossed), 4)])
    trait = re.findall(r"to have (.+)\?", question)[0]
    letter = re.findall(rf"{trait} \((\w)\)", question)[0]
    return _equal(choices, [Fraction(total * sum(_shows(kid, letter) for kid in crossed), 4)])


def _shows(kid: Sequence[str], letter: str) -> bool:
    """Whether the trait of a gene is seen: a dominant gene needs one copy, a recessive one the lack of the other."""
    return letter in kid if letter.isupper() else letter.upper() not in kid


def atom(question: str, choices: Sequence[str]) -> list[str]:
    def count(what: str) -> int:
        return int(re.findall(rf"(\d+) {what}", question)[0])

    if "mass number?" in question:
        return _equal(choices, [count("protons") + count("neutrons")])
    if "mass number" in question:
        return _equal(choices, [int(re.findall(r"mass number (\d+)", question)[0]) - count("protons")])
    if "An ion" in question:
        charge = count("positive") if "positive" in question else -count("negative")
        return _equal(choices, [count("protons") - charge])
    left, shells = count("electrons"), [2, 8, 8]
    while left > shells[0]:
        left -= shells.pop(0)
    return _equal(choices, [shells[0] - left if "more electrons" in question else left])


def reaction(question: str, choices: Sequence[str]) -> list[str]:
    grams = [Fraction(n) for n in re.findall(r"(\d+) g of", question)]
    if "exactly" not in question:
        return _equal(
            choices, [sum(grams)] if "What mass of" in question and "forms?" in question else [grams[1] - grams[0]]
        )
    p, q, made, x = grams[:4]
    return _equal(choices, [x / p * made] if "enough" in question else [grams[4] - x / p * q])


def planets(question: str, choices: Sequence[str]) -> list[str]:
    """Rank the rows of the table."""
    head, asked = (
        question.split(": ")[1].split(". Which") if ". Which" in question else question.split(": ")[1].split(". Among")
    )
    rows = {
        n: (float(d), float(size), float(year))
        for n, d, size, year in re.findall(rf"(\w+) {NUMBER}, {NUMBER}, {NUMBER}", head)
    }
    if limit := re.findall(rf"diameter of (more|less) than {NUMBER}", asked):
        more, bound = limit[0][0] == "more", float(limit[0][1])
        rows = {n: row for n, row in rows.items() if (row[1] > bound) == more}
    for name in re.findall(r"apart from (\w+)", asked):
        del rows[name]
    column = 0 if "Sun?" in asked or "Sun," in asked else 2 if "year" in asked else 1
    best = (max if re.search("farthest|largest|longest", asked) else min)(row[column] for row in rows.values())
    return [c for c in choices if c in rows and rows[c][column] == best]


def acidity(question: str, choices: Sequence[str]) -> list[str]:
    if "Which is the most" in question:
        values = {f"liquid {name}": Fraction(v) for name, v in re.findall(rf"[Ll]iquid (\w): pH {NUMBER}", question)}
        best = (min if "acidic" in question else max)(values.values())
        return [c for c in choices if values[c] == best]
    if "What is the pH now" in question:
        start, millilitres, litres = _numbers(question)
        dilutions = len(str(int(litres * 1000 / millilitres))) - 1
        assert 10**dilutions * millilitres == litres * 1000
        return _equal(choices, [start + dilutions])
    first, second = _numbers(question)
    steps = second - first
    compared = "high" if steps > 0 else "low"
    return [c for c in choices if c == f"{10 ** abs(int(steps))} times as {compared}"]
