"""Chemistry with numbers: conservation of mass, and the pH scale."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction

from harness.suite.generated import Draft, Scene, sibling

Number = Fraction | int
_numeric = sibling(__file__, "numeric")
number: Callable[[Number], str] = _numeric.number
draft: Callable[..., Draft | None] = _numeric.draft

# reactants and product with whole-number mass ratio, from rounded atomic masses
REACTIONS = (
    ("hydrogen", 1, "oxygen", 8, "water"),
    ("carbon", 3, "oxygen", 8, "carbon dioxide"),
    ("magnesium", 3, "oxygen", 2, "magnesium oxide"),
    ("iron", 7, "sulfur", 4, "iron sulfide"),
    ("calcium", 5, "oxygen", 2, "calcium oxide"),
    ("copper", 4, "oxygen", 1, "copper oxide"),
    ("sulfur", 1, "oxygen", 1, "sulfur dioxide"),
)
SCALES = range(2, 16)


def reaction(rng: random.Random, level: int) -> Scene:
    """Conservation of mass: the product's mass (1), in proportion (2), with an excess (3)."""
    a, p, b, q, product = rng.choice(REACTIONS)
    forward, fixed = rng.random() < 0.5, rng.choice(SCALES)
    told = f"{p} g of {a} reacts with exactly {q} g of {b} to form {p + q} g of {product}."

    def conserved(rng: random.Random) -> Draft | None:
        scale = rng.choice(SCALES)
        x, y = p * scale, q * scale
        if forward:
            asked = (
                f"{x} g of {a} reacts completely with {y} g of {b} and forms only {product}. What mass of "
                f"{product} forms?"
            )
            return draft(asked, x + y, "g", f"Mass is conserved: {x} g + {y} g", structure=f"product {x} {y}")
        asked = f"{x} g of {a} reacts completely with {b}, and {x + y} g of {product} forms. What mass of {b} was used?"
        return draft(asked, y, "g", f"Mass is conserved: {x + y} g - {x} g", structure=f"used {x} {y}")

    def proportion(rng: random.Random) -> Draft | None:
        scale = rng.choice(SCALES)
        asked = f"{told} What mass of {product} forms from {p * scale} g of {a} and enough {b}?"
        why = f"{p * scale} g is {scale} times {p} g, so {scale} times {p + q} g forms, which"
        return draft(asked, (p + q) * scale, "g", why, structure=f"proportion {p} {q} {scale}")

    def excess(rng: random.Random) -> Draft | None:
        x, y, extra = p * fixed, q * fixed, rng.randrange(1, 13)
        asked = (
            f"{told} {x} g of {a} is mixed with {y + extra} g of {b}, and they react as far as possible. What mass of "
            f"{b} is left?"
        )
        why = f"{x} g of {a} uses {fixed} times {q} g = {y} g of {b}; {y + extra} g - {y} g"
        return draft(asked, extra, "g", why, structure=f"excess {p} {q} {fixed} {extra}")

    return (conserved, proportion, excess)[level - 1]


def acidity(rng: random.Random, level: int) -> Scene:
    """The pH scale: which is most acidic (1), what a dilution does (2), how many times more hydrogen ions (3)."""
    return (_most_acidic, _dilution, _ion_ratio)[level - 1](rng)


def _most_acidic(rng: random.Random) -> Scene:
    values = [Fraction(v, 10) for v in rng.sample(range(20, 125, 3), 5)]
    letters = rng.sample("KLMNPQRST", 5)
    most = rng.random() < 0.5
    kind, rule = ("acidic", "lower") if most else ("alkaline", "higher")
    place = values.index(min(values) if most else max(values))

    def ask(rng: random.Random) -> Draft:
        names = [f"liquid {letter}" for letter in rng.sample(letters, 5)]  # the same table with other names
        table = ", ".join(f"{n}: pH {number(v)}" for n, v in zip(names, values, strict=True))
        return Draft(
            question=f"A student measures five liquids. {table[0].upper()}{table[1:]}. Which is the most {kind}?",
            answer=names[place],
            rationale=f"The {rule} the pH, the more {kind} the liquid, and {names[place]} has the {rule[:-2]}est pH of "
            "the five.",
            structure=f"{most} {values}",
        )

    return ask


def _dilution(rng: random.Random) -> Scene:
    start, millilitres = rng.choice((1, 2)), rng.choice((2, 4, 5, 8, 10, 15, 20, 25, 30, 40, 50, 80, 100))

    def ask(rng: random.Random) -> Draft:
        steps = rng.randrange(1, 5)
        factor = 10**steps
        return Draft(
            question=f"A strong acid has pH {start}. {millilitres} ml of it are made up with pure water to "
            f"{millilitres * factor / 1000:g} litres. What is the pH now?",
            answer=f"pH {start + steps}",
            rationale=f"The acid is diluted {factor} times, and each tenfold dilution raises the pH of a strong acid "
            f"by 1. So the pH rises by {steps} to {start + steps}.",
            unit=f"dilution {start} {millilitres}",
        )

    return ask


def _ion_ratio(rng: random.Random) -> Scene:
    first = Fraction(rng.randrange(45, 90), 10)

    def ask(rng: random.Random) -> Draft:
        steps = rng.choice((-4, -3, -2, -1, 1, 2, 3, 4))
        size, compared = 10 ** abs(steps), "high" if steps > 0 else "low"
        return Draft(
            question=f"Solution P has pH {number(first)} and solution Q has pH {number(first + steps)}. How does the "
            "concentration of hydrogen ions in P compare with that in Q?",
            answer=f"{size} times as {compared}",
            rationale="Each step of 1 on the pH scale is a factor of 10 in the concentration, and a lower pH means "
            f"more hydrogen ions. A difference of {abs(steps)} makes a factor of {size}.",
            unit=f"ratio {first}",
        )

    return ask
