"""Chemistry with numbers: conservation of mass, and the pH scale. Distractors are common mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction

from harness.suite.generated import Draft, sibling

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


def reaction(rng: random.Random, level: int) -> Draft | None:
    """Conservation of mass: the product's mass (1), in proportion (2), with an excess (3)."""
    a, p, b, q, product = rng.choice(REACTIONS)
    scale = rng.choice((2, 3, 4, 5, 6, 8, 10))
    x, y = p * scale, q * scale
    if level == 1:
        if rng.random() < 0.5:
            asked = (
                f"{x} g of {a} reacts completely with {y} g of {b} and forms only {product}. What mass of "
                f"{product} forms?"
            )
            guesses = [x, y, abs(x - y), x * y, 2 * (x + y), x + y + scale, Fraction(x + y, 2)]
            return draft(asked, x + y, guesses, "g", f"Mass is conserved: {x} g + {y} g")
        asked = f"{x} g of {a} reacts completely with {b}, and {x + y} g of {product} forms. What mass of {b} was used?"
        guesses = [x + y, 2 * x + y, x, Fraction(x + y, 2), y + scale, y * 2, y + 2 * scale]
        return draft(asked, y, guesses, "g", f"Mass is conserved: {x + y} g - {x} g")
    told = f"{p} g of {a} reacts with exactly {q} g of {b} to form {p + q} g of {product}."
    if level == 2:
        asked = f"{told} What mass of {product} forms from {x} g of {a} and enough {b}?"
        guesses = [
            x + q,
            x + p + q,
            y,
            x,
            (p + q) * x,
            (p + q) * (scale + 1),
            (p + q) * (scale - 1),
            x * 2,
        ]
        why = f"{x} g is {scale} times {p} g, so {scale} times {p + q} g forms, which"
        return draft(asked, (p + q) * scale, guesses, "g", why)
    extra = rng.randrange(1, 9)
    asked = (
        f"{told} {x} g of {a} is mixed with {y + extra} g of {b}, and they react as far as possible. What mass "
        f"of {b} is left?"
    )
    guesses = [
        y,
        y + extra,
        x,
        abs(y + extra - x),
        extra + 1,
        extra + scale,
        2 * extra,
        p + q,
        scale,
    ]
    return draft(
        asked, extra, guesses, "g", f"{x} g of {a} uses {scale} times {q} g = {y} g of {b}; {y + extra} g - {y} g"
    )


def acidity(rng: random.Random, level: int) -> Draft | None:
    """The pH scale: which is most acidic (1), what a dilution does (2), how many times more hydrogen ions (3)."""
    if level == 1:
        liquids = [
            "rain water",
            "vinegar",
            "soap water",
            "lemon juice",
            "sea water",
            "tomato juice",
            "limewater",
            "milk",
        ]
        labels = rng.sample(liquids, 5)
        values = [Fraction(v, 10) for v in rng.sample(range(20, 125, 3), 5)]
        most = rng.random() < 0.5
        names = [f"liquid {letter}" for letter in rng.sample("KLMNPQRST", len(labels))]
        best = names[values.index(min(values) if most else max(values))]
        table = ", ".join(f"{n}: pH {number(v)}" for n, v in zip(names, values, strict=True))
        kind, rule = ("acidic", "lower") if most else ("alkaline", "higher")
        return Draft(
            question=f"A student measures five liquids. {table[0].upper()}{table[1:]}. Which is the most {kind}?",
            correct=best,
            wrong=[n for n in names if n != best],
            rationale=f"The {rule} the pH, the more {kind} the liquid, and {best} has the {rule[:-2]}est pH of the "
            "five.",
        )
    start, steps = rng.choice((1, 2, 3)), rng.choice((1, 2, 3))
    factor = 10**steps
    if level == 2:
        litre = rng.choice((10, 20, 50, 100))
        asked = (
            f"A strong acid has pH {start}. {litre} ml of it are made up with pure water to "
            f"{litre * factor / 1000:g} litres. What is the pH now?"
        )
        options = [
            start - steps,
            start + 2 * steps,
            start,
            7,
            start * 10,
            start + steps + 1,
            start + steps - 1,
            start + 4,
        ]
        wrong = [f"pH {v}" for v in dict.fromkeys(options) if v != start + steps and 0 <= v <= 14]
        return Draft(
            question=asked,
            correct=f"pH {start + steps}",
            wrong=wrong,
            rationale=f"The acid is diluted {factor} times, and each tenfold dilution raises the pH of a strong "
            "acid by 1. "
            f"So the pH rises by {steps} to {start + steps}.",
        )
    first = rng.choice((2, 3, 4, 5, 6))
    asked = (
        f"Solution P has pH {first} and solution Q has pH {first + steps}. How does the concentration of "
        "hydrogen ions in P compare with that in Q?"
    )
    phrases = [f"{f} times as high" for f in (10, 100, 1000)] + [f"{f} times as low" for f in (10, 100, 1000)]
    phrases += [f"{steps + 1} times as high"]
    right = f"{factor} times as high"
    return Draft(
        question=asked,
        correct=right,
        wrong=[t for t in phrases if t != right],
        rationale="Each step of 1 on the pH scale is a factor of 10 in the concentration, and a lower pH means "
        "more hydrogen "
        f"ions. A difference of {steps} makes a factor of {factor}.",
    )
