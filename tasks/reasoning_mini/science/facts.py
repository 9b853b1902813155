"""Science from tables: states of matter, food chains, inheritance, atoms, rankings. The question contains the table."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise, product

from harness.suite.generated import Draft, join

# melting and boiling point in °C at normal pressure, rounded
POINTS = {
    "nitrogen": (-210, -196),
    "ethanol": (-114, 78),
    "mercury": (-39, 357),
    "bromine": (-7, 59),
    "water": (0, 100),
    "acetic acid": (17, 118),
    "naphthalene": (80, 218),
    "sulfur": (115, 445),
    "tin": (232, 2602),
    "lead": (327, 1749),
    "ammonia": (-78, -33),
    "glycerol": (18, 290),
    "acetone": (-95, 56),
    "benzene": (6, 80),
    "gallium": (30, 2400),
    "oxygen": (-219, -183),
}


def state(substance: str, temperature: int) -> str:
    """Return solid, liquid or gas."""
    melts, boils = POINTS[substance]
    return "solid" if temperature < melts else "liquid" if temperature < boils else "a gas"


def states(rng: random.Random, level: int) -> Draft | None:
    """Which of four is in a given state (1), changes in a given way on heating (2), is in a state at both ends (3)."""
    four = rng.sample(list(POINTS), 4)
    table = "; ".join(f"{s} {POINTS[s][0]} and {POINTS[s][1]}" for s in four)
    head = f"Melting and boiling points in °C: {table}."
    low = rng.randrange(-200, 400, 10)
    high = low + rng.choice((40, 60, 100, 150))
    if any(abs(t - p) < 3 for s in four for p in POINTS[s] for t in (low, high)):
        return None
    begin, end = {s: state(s, low) for s in four}, {s: state(s, high) for s in four}
    if level == 1:
        aim = rng.choice(("solid", "liquid", "a gas"))
        fit, asked = [s for s in four if begin[s] == aim], f"Which of them is {aim} at {low} °C?"
    elif level == 2:
        aim = rng.choice(("melts but does not boil", "boils"))
        change = ("solid", "liquid") if aim[0] == "m" else ("liquid", "a gas")
        fit = [s for s in four if (begin[s], end[s]) == change or (aim == "boils" and begin[s] != end[s] == "a gas")]
        asked = f"Which of them {aim} when warmed from {low} °C to {high} °C?"
    else:
        aim = rng.choice(("solid", "liquid", "a gas"))
        fit = [s for s in four if begin[s] == end[s] == aim]
        asked = f"Which of them is {aim} both at {low} °C and at {high} °C?"
    if len(fit) != 1:
        return None
    right = fit[0]
    melts, boils = POINTS[right]
    found = f"is {begin[right]} at {low} °C" + (f" and {end[right]} at {high} °C" if level > 1 else "")
    return Draft(
        question=f"{head} {asked}",
        correct=right,
        wrong=[s for s in four if s != right],
        rationale=f"{right.capitalize()} melts at {melts} °C and boils at {boils} °C, so it {found}; none of the "
        "others fits.",
    )


CHAINS = (
    ("grass", "grasshoppers", "frogs", "snakes", "eagles"),
    ("algae", "water fleas", "minnows", "perch", "herons"),
    ("oak leaves", "caterpillars", "tits", "weasels", "owls"),
    ("phytoplankton", "krill", "herring", "seals", "orcas"),
    ("clover", "snails", "thrushes", "weasels", "foxes"),
    ("seaweed", "limpets", "crabs", "gulls", "sea eagles"),
    ("wheat", "mice", "stoats", "foxes", "wolves"),
    ("lettuce", "slugs", "hedgehogs", "badgers", "wolves"),
)
ROLES = ("producers", "primary consumers", "secondary consumers", "tertiary consumers", "top predators")


def food_chain(rng: random.Random, level: int) -> Draft:
    """Roles in a chain (1), what a loss does at once (2), energy passed on (3)."""
    chain = rng.choice(CHAINS)[: rng.choice((4, 5))]
    links = [f"{eater} eat {eaten}" for eaten, eater in pairwise(chain)]
    rng.shuffle(links)
    head = f"In one habitat, {join(links)}, and nothing else is eaten."
    others = list(chain)
    if level == 1:
        k = rng.randrange(4)
        right, asked = chain[k], f"Which are the {ROLES[k]}?"
        why = f"The chain starts with {chain[0]} and runs {', '.join(chain)}, so the {ROLES[k]} are the {right}."
    elif level == 2:
        gone = rng.randrange(1, len(chain))
        right = chain[gone - 1]
        asked = f"If all the {chain[gone]} died, the numbers of which would rise first for lack of an enemy?"
        why = f"The {chain[gone]} are the only ones that eat {right}, so without them more of the {right} survive."
    else:
        top = len(chain) - 1
        k = rng.randrange(1, top + 1)
        units = 10 ** rng.choice((4, 5))
        right = f"{units // 10**k} kJ"
        asked = (
            f"If a tenth of the energy passes to the next level, how much of {units} kJ in the {chain[0]} "
            f"reaches the {chain[k]}?"
        )
        why = (
            f"The {chain[k]} stand {k} {'step' if k == 1 else 'steps'} above the {chain[0]}, and each step keeps "
            f"a tenth, which leaves {right}."
        )
        others = [f"{units // 10**i} kJ" for i in range(5)] + [f"{units // (10 * n)} kJ" for n in (2, 4, 5)]
    return Draft(
        question=f"{head} {asked}", correct=right, wrong=[o for o in dict.fromkeys(others) if o != right], rationale=why
    )


TRAITS = (
    ("pea plants", "purple flowers", "white flowers", "P", "p"),
    ("pea plants", "round seeds", "wrinkled seeds", "R", "r"),
    ("rabbits", "grey fur", "white fur", "G", "g"),
    ("guinea pigs", "black fur", "brown fur", "B", "b"),
    ("mice", "straight tails", "bent tails", "S", "s"),
    ("tomato plants", "red fruit", "yellow fruit", "F", "f"),
)
SHARES = [f"{n}%" for n in (0, 25, 50, 75, 100)]


def punnett(rng: random.Random, level: int) -> Draft:
    """Offspring of a cross: of a trait (1), of a genotype (2), of two traits at once (3)."""
    kind, strong, weak, big, small = rng.choice(TRAITS)
    genes = (big + big, big + small, small + small)
    head = f"In {kind}, the gene for {strong} ({big}) is dominant over that for {weak} ({small})."
    if level == 3:
        return _two_traits(rng)
    aim = rng.choice(SHARES)
    while True:
        mother, father = rng.choice(genes), rng.choice(genes)
        kids = ["".join(sorted(pair)) for pair in product(mother, father)]
        if level == 1:
            asked_trait = rng.choice((strong, weak))
            hits = sum((big in kid) == (asked_trait == strong) for kid in kids)
            what = f"have {asked_trait}"
        else:
            asked_gene = rng.choice(genes)
            hits = sum(kid == asked_gene for kid in kids)
            what = f"have the genes {asked_gene}"
        if f"{hits * 25}%" == aim or (level == 2 and aim == "75%"):  # no genotype has a share of 75%
            break
    right = f"{hits * 25}%"
    counts = {kid: kids.count(kid) for kid in dict.fromkeys(kids)}
    found = join([f"{n} of 4 {kid}" for kid, n in counts.items()])
    return Draft(
        question=f"{head} A parent with the genes {mother} is crossed with a parent with the genes {father}. "
        f"What share of their offspring is expected to {what}?",
        correct=right,
        wrong=[s for s in SHARES if s != right],
        rationale=f"The cross gives {found}. Those that {what} make up {right}.",
    )


def _two_traits(rng: random.Random) -> Draft:
    """Two independent genes; shares multiply."""
    kind, first, second = rng.choice(
        [
            ("pea plants", ("purple flowers", "white flowers", "P", "p"), ("round seeds", "wrinkled seeds", "R", "r")),
            ("rabbits", ("grey fur", "white fur", "G", "g"), ("short hair", "long hair", "H", "h")),
            ("guinea pigs", ("black fur", "brown fur", "B", "b"), ("rough coats", "smooth coats", "R", "r")),
            ("mice", ("straight tails", "bent tails", "S", "s"), ("dark eyes", "pink eyes", "D", "d")),
        ]
    )
    share, wanted, parents = Fraction(1), [], ["", ""]
    for strong, weak, big, small in (first, second):
        mother, father = rng.choice(
            [(big + small, big + small), (big + small, small + small), (big + small, big + small)]
        )
        trait = rng.choice((strong, weak))
        kids = [big in a + b for a, b in product(mother, father)]
        share *= Fraction(sum(kid == (trait == strong) for kid in kids), 4)
        wanted.append(trait)
        parents = [parents[0] + mother, parents[1] + father]
    right = f"{share.numerator}/{share.denominator}"
    guesses = [Fraction(n, 16) for n in (1, 2, 3, 4, 6, 8, 9, 12)] + [Fraction(3, 8)]
    texts = dict.fromkeys(f"{g.numerator}/{g.denominator}" for g in guesses)
    rules = ", ".join(f"{s} ({b}) is dominant over {w} ({t})" for s, w, b, t in (first, second))
    return Draft(
        question=f"In {kind}, {rules}, and the two genes are inherited independently. Parents {parents[0]} and "
        f"{parents[1]} "
        f"are crossed. What share of the offspring is expected to have {wanted[0]} and {wanted[1]}?",
        correct=right,
        wrong=[t for t in texts if t != right],
        rationale=f"Each gene gives its own share of offspring with the trait, and independent shares are multiplied. "
        f"For {wanted[0]} and {wanted[1]} together that makes {right}.",
    )


ELEMENTS = (
    *("hydrogen", "helium", "lithium", "beryllium", "boron", "carbon", "nitrogen", "oxygen", "fluorine", "neon"),
    *(
        "sodium",
        "magnesium",
        "aluminium",
        "silicon",
        "phosphorus",
        "sulfur",
        "chlorine",
        "argon",
        "potassium",
        "calcium",
    ),
)

IONS = (
    (3, 1),
    (4, 2),
    (7, -3),
    (8, -2),
    (9, -1),
    (11, 1),
    (12, 2),
    (13, 3),
    (15, -3),
    (16, -2),
    (17, -1),
    (19, 1),
    (20, 2),
)


def atom(rng: random.Random, level: int) -> Draft:
    """Particles of an atom: neutrons or mass number (1), of an ion (2), electrons in the outer shell (3)."""
    z = rng.randrange(3, 21)
    neutrons = z + rng.randrange(0, 4)
    element = ELEMENTS[z - 1]
    if level == 1:
        head = f"An atom of {element} has {z} protons"
        if rng.random() < 0.5:
            right, asked = z + neutrons, f"{head} and {neutrons} neutrons. What is its mass number?"
            why = f"The mass number counts protons and neutrons: {z} + {neutrons} = {right}."
        else:
            right, asked = neutrons, f"{head} and mass number {z + neutrons}. How many neutrons does it have?"
            why = f"The mass number counts protons and neutrons, so there are {z + neutrons} - {z} = {right} neutrons."
        guesses = [
            z,
            neutrons,
            z + neutrons,
            2 * z + neutrons,
            neutrons + 1,
            z + neutrons + 1,
            z + neutrons - 1,
            2 * z + 1,
        ]
    elif level == 2:
        z, charge = rng.choice(IONS)
        neutrons, element = z + rng.randrange(3), ELEMENTS[z - 1]
        right = z - charge
        sign = f"{abs(charge)} {'positive' if charge > 0 else 'negative'}"
        asked = (
            f"An ion of {element} has {z} protons, {neutrons} neutrons and {sign} elementary "
            f"{'charge' if abs(charge) == 1 else 'charges'}. How many electrons does it have?"
        )
        move = f"{abs(charge)} {'fewer' if charge > 0 else 'more'}"
        why = f"A neutral atom would have {z} electrons; the ion has {move}, which makes {right}."
        guesses = [z, z + charge, neutrons, neutrons - charge, z + neutrons, right + 1, right - 1, abs(charge)]
    else:
        right = z - (2 if z <= 10 else 10 if z <= 18 else 18)
        asked = (
            f"An atom of {element} has {z} electrons. The first shell holds 2, the second 8 and the third 8. "
            "How many electrons are in its outermost occupied shell?"
        )
        filled = (2,) if z <= 10 else (2, 8) if z <= 18 else (2, 8, 8)
        why = (
            f"The inner shells take {' + '.join(map(str, filled))} of the {z} electrons, which leaves {right} outside."
        )
        guesses = [8 - right, right + 1, right - 1, 2, 8, z - 2, right + 2, z // 2, 18 - z]
    wrong = [str(g) for g in dict.fromkeys(guesses) if g != right and g > 0]
    wrong += [str(right + n) for n in (3, 4, 5) if str(right + n) not in wrong][: max(0, 4 - len(wrong))]
    return Draft(question=asked, correct=str(right), wrong=wrong, rationale=why)


# mean distance from the Sun (million km), diameter (thousand km), year (Earth days)
PLANETS = {
    "Mercury": (58, 4.9, 88),
    "Venus": (108, 12.1, 225),
    "Earth": (150, 12.8, 365),
    "Mars": (228, 6.8, 687),
    "Jupiter": (779, 143.0, 4331),
    "Saturn": (1434, 120.5, 10747),
    "Uranus": (2873, 51.1, 30589),
    "Neptune": (4495, 49.5, 59800),
}
QUANTITIES: tuple[tuple[str, str, Callable[[str], float]], ...] = (
    ("is nearest to the Sun", "is farthest from the Sun", lambda p: PLANETS[p][0]),
    ("is the smallest", "is the largest", lambda p: PLANETS[p][1]),
    ("has the shortest year", "has the longest year", lambda p: PLANETS[p][2]),
)


def planets(rng: random.Random, level: int) -> Draft | None:
    """Rankings of planets by a table: an extreme (1), the second (2), under a condition (3)."""
    five = rng.sample(list(PLANETS), 5)
    table = "; ".join(f"{p} {PLANETS[p][0]}, {PLANETS[p][1]:g}, {PLANETS[p][2]}" for p in five)
    head = (
        "The table gives distance from the Sun in million km, diameter in thousand km, and length of the year in days: "
        f"{table}."
    )
    least, most, value = rng.choice(QUANTITIES)
    phrase, reverse = rng.choice(((least, False), (most, True)))
    ranked = sorted(five, key=value, reverse=reverse)
    if level == 1:
        right, asked = ranked[0], f"Which of these planets {phrase}?"
    elif level == 2:
        right = ranked[1]
        asked = f"Which of these planets {phrase}, apart from {ranked[0]}?"
    else:
        limit = rng.choice((5, 10, 13, 50, 100))
        bigger = rng.random() < 0.5
        fitting = [p for p in ranked if (PLANETS[p][1] > limit) == bigger]
        if not 2 <= len(fitting) <= 4 or fitting[0] == ranked[0]:
            return None
        right = fitting[0]
        asked = (
            f"Among those with a diameter of {'more' if bigger else 'less'} than {limit} thousand km, which "
            f"planet {phrase}?"
        )
    wrong = [p for p in five if p != right and not (level == 2 and p == ranked[0])]
    return Draft(
        question=f"{head} {asked}",
        correct=right,
        wrong=wrong,
        rationale=f"In the order asked for, the planets are {join(ranked)}. "
        f"{'The first that meets the condition' if level > 1 else 'The first'} is {right}.",
    )
