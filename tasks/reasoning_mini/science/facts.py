"""Science from tables: states of matter, food chains, inheritance, atoms, rankings. The question contains the table."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise, product

from harness.suite.generated import LEVELS, Draft, Scene, join, structure_of

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


def states(rng: random.Random, level: int) -> Scene:
    """Which of four is in a given state (1), changes in a given way on heating (2), is in a state at both ends (3)."""
    four = rng.sample(list(POINTS), 4)
    table = "; ".join(f"{s} {POINTS[s][0]} and {POINTS[s][1]}" for s in four)

    def ask(rng: random.Random) -> Draft | None:
        low = rng.randrange(-220, 460, 10)
        high = low + rng.choice((40, 60, 100, 150, 300))
        if any(abs(t - p) < 3 for s in four for p in POINTS[s] for t in (low, high)):
            return None
        begin, end = {s: state(s, low) for s in four}, {s: state(s, high) for s in four}
        fit, asked = _states_question(rng, level, begin, end, f"{low} °C", f"{high} °C")
        if len(fit) != 1:
            return None
        melts, boils = POINTS[fit[0]]
        found = f"is {begin[fit[0]]} at {low} °C" + (f" and {end[fit[0]]} at {high} °C" if level > 1 else "")
        question = f"Melting and boiling points in °C: {table}. {asked}"
        return Draft(
            question=question,
            answer=fit[0],
            rationale=f"{fit[0].capitalize()} melts at {melts} °C and boils at {boils} °C, so it {found}; none of the "
            "others fits.",
            structure=question,  # its numbers identify the substances
            unit=table,
        )

    return ask


def _states_question(
    rng: random.Random, level: int, begin: dict[str, str], end: dict[str, str], low: str, high: str
) -> tuple[list[str], str]:
    """Return the substances that fit, and the question."""
    aim = rng.choice(("solid", "liquid", "a gas"))
    if level == 1:
        return [s for s in begin if begin[s] == aim], f"Which of them is {aim} at {low}?"
    if level == 3:
        fit = [s for s in begin if begin[s] == end[s] == aim]
        return fit, f"Which of them is {aim} both at {low} and at {high}?"
    warmed = f"when warmed from {low} to {high}?"
    if rng.random() < 0.5:
        fit = [s for s in begin if (begin[s], end[s]) == ("solid", "liquid")]
        return fit, f"Which of them melts but does not boil {warmed}"
    return [s for s in begin if begin[s] != end[s] == "a gas"], f"Which of them boils {warmed}"


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


SPECIES = tuple(dict.fromkeys(species for chain in CHAINS for species in chain))


def food_chain(rng: random.Random, level: int) -> Scene:
    """Roles in a chain (1), what a loss does at once (2), energy passed on (3)."""
    chain = rng.choice(CHAINS)
    links = [f"{eater} eat {eaten}" for eaten, eater in pairwise(chain)]
    rng.shuffle(links)
    head = f"In one habitat, {join(links)}, and nothing else is eaten."
    energy = rng.randrange(1, 10) * 10 ** rng.choice((4, 5))
    unit = f"{level} {structure_of(head, SPECIES)} {energy if level == LEVELS else ''}"

    def ask(rng: random.Random) -> Draft:
        k = rng.randrange(1, len(chain))
        if level == 1:
            k = rng.randrange(len(chain))
            answer, asked = chain[k], f"Which are the {ROLES[k]}?"
            why = f"The chain starts with {chain[0]} and runs {', '.join(chain)}, so the {ROLES[k]} are the {answer}."
        elif level == 2:
            answer = chain[k - 1]
            asked = f"If all the {chain[k]} died, the numbers of which would rise first for lack of an enemy?"
            why = f"The {chain[k]} are the only ones that eat {answer}, so without them more of the {answer} survive."
        else:
            answer = f"{energy // 10**k} kJ"
            asked = (
                f"If a tenth of the energy passes to the next level, how much of {energy} kJ in the {chain[0]} "
                f"reaches the {chain[k]}?"
            )
            why = (
                f"The {chain[k]} stand {k} {'step' if k == 1 else 'steps'} above the {chain[0]}, and each step keeps "
                f"a tenth, which leaves {answer}."
            )
        question = f"{head} {asked}"
        return Draft(
            question=question, answer=answer, rationale=why, structure=structure_of(question, SPECIES), unit=unit
        )

    return ask


TRAITS = (
    ("pea plants", "purple flowers", "white flowers", "P", "p"),
    ("pea plants", "round seeds", "wrinkled seeds", "R", "r"),
    ("rabbits", "grey fur", "white fur", "G", "g"),
    ("guinea pigs", "black fur", "brown fur", "B", "b"),
    ("mice", "straight tails", "bent tails", "S", "s"),
    ("tomato plants", "red fruit", "yellow fruit", "F", "f"),
)


def punnett(rng: random.Random, level: int) -> Scene:
    """Offspring of a cross: of a trait (1), of a genotype (2), of two traits at once (3)."""
    if level == 3:
        return _two_traits(rng)
    kind, strong, weak, big, small = rng.choice(TRAITS)
    genes = (big + big, big + small, small + small)
    total = 4 * rng.randrange(2, 101)
    head = f"In {kind}, the gene for {strong} ({big}) is dominant over that for {weak} ({small})."

    def ask(rng: random.Random) -> Draft:
        mother, father = rng.choice(genes), rng.choice(genes)
        kids = ["".join(sorted(pair)) for pair in product(mother, father)]
        if level == 1:
            wanted = rng.choice((strong, weak))
            fit, what = [(big in kid) == (wanted == strong) for kid in kids], f"have {wanted}"
        else:
            wanted = rng.choice(genes)
            fit, what = [kid == wanted for kid in kids], f"have the genes {wanted}"
        counts = {kid: kids.count(kid) for kid in dict.fromkeys(kids)}
        found = join([f"{n} of 4 {kid}" for kid, n in counts.items()])
        pair = sorted((genes.index(mother), genes.index(father)))
        return Draft(
            question=f"{head} A parent with the genes {mother} is crossed with a parent with the genes {father}. "
            f"How many of {total} offspring are expected to {what}?",
            answer=str(total * sum(fit) // 4),
            rationale=f"The cross gives {found}. Those that {what} make up {sum(fit)} of 4, or "
            f"{total * sum(fit) // 4} of {total}.",
            structure=f"{level} {pair} {(strong, weak, *genes).index(wanted)} {total}",
            unit=f"{level} {total}",
        )

    return ask


PAIRS = (
    ("pea plants", ("purple flowers", "white flowers", "P", "p"), ("round seeds", "wrinkled seeds", "R", "r")),
    ("rabbits", ("grey fur", "white fur", "G", "g"), ("short hair", "long hair", "H", "h")),
    ("guinea pigs", ("black fur", "brown fur", "B", "b"), ("rough coats", "smooth coats", "R", "r")),
    ("mice", ("straight tails", "bent tails", "S", "s"), ("dark eyes", "pink eyes", "D", "d")),
)


def _two_traits(rng: random.Random) -> Scene:
    """Two independent genes; shares multiply."""
    kind, *traits = rng.choice(PAIRS)
    total = 16 * rng.randrange(1, 41)
    rules = ", ".join(f"{s} ({b}) is dominant over {w} ({t})" for s, w, b, t in traits)

    def ask(rng: random.Random) -> Draft:
        share, wanted, parents, structure = Fraction(1), [], ["", ""], f"{total}"
        for strong, weak, big, small in traits:
            other = rng.choice((big + small, small + small))
            trait = rng.choice((strong, weak))
            kids = [big in a + b for a, b in product(big + small, other)]
            share *= Fraction(sum(kid == (trait == strong) for kid in kids), 4)
            wanted.append(trait)
            parents = [parents[0] + big + small, parents[1] + other]
            structure += f" {other == big + small} {trait == strong}"
        answer = f"{share * total}"
        return Draft(
            question=f"In {kind}, {rules}, and the two genes are inherited independently. Parents {parents[0]} and "
            f"{parents[1]} are crossed. How many of {total} offspring are expected to have {wanted[0]} and "
            f"{wanted[1]}?",
            answer=answer,
            rationale="Each gene gives its own share of offspring with the trait, and independent shares are "
            f"multiplied. For {wanted[0]} and {wanted[1]} together that makes {share}, or {answer} of {total}.",
            structure=structure,
            unit=f"two traits {total}",
        )

    return ask


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

HEAVY = {21: "scandium", 22: "titanium", 24: "chromium", 25: "manganese", 26: "iron", 27: "cobalt", 28: "nickel"}
HEAVY |= {29: "copper", 30: "zinc", 35: "bromine", 38: "strontium", 47: "silver", 50: "tin", 53: "iodine", 56: "barium"}
NAMES_BY_NUMBER = dict(enumerate(ELEMENTS, 1)) | HEAVY
IONS = (  # protons, charge
    *((3, 1), (4, 2), (7, -3), (8, -2), (9, -1), (11, 1), (12, 2), (13, 3), (15, -3), (16, -2), (17, -1), (19, 1)),
    *((20, 2), (21, 3), (22, 2), (24, 2), (24, 3), (25, 2), (26, 2), (26, 3), (27, 2), (27, 3), (28, 2), (29, 1)),
    *((29, 2), (30, 2), (35, -1), (38, 2), (47, 1), (50, 2), (50, 4), (53, -1), (56, 2)),
)


def atom(rng: random.Random, level: int) -> Scene:
    """Particles of an atom: neutrons or mass number (1), of an ion (2), electrons in the outer shell (3)."""
    if level == 1:
        return _nucleus(rng)
    return _ion if level == 2 else _shell(fill=rng.random() < 0.5)


def _nucleus(rng: random.Random) -> Scene:
    z, mass_asked = rng.randrange(3, 21), rng.random() < 0.5
    head = f"An atom of {NAMES_BY_NUMBER[z]} has {z} protons"

    def ask(rng: random.Random) -> Draft:
        neutrons = z + rng.randrange(8)
        mass = z + neutrons
        if mass_asked:
            asked = f"{head} and {neutrons} neutrons. What is its mass number?"
            why = f"The mass number counts protons and neutrons: {z} + {neutrons} = {mass}."
        else:
            asked = f"{head} and mass number {mass}. How many neutrons does it have?"
            why = f"The mass number counts protons and neutrons, so there are {mass} - {z} = {neutrons} neutrons."
        answer = str(mass if mass_asked else neutrons)
        return Draft(question=asked, answer=answer, rationale=why, structure=f"nucleus {mass_asked} {z} {neutrons}")

    return ask


def _ion(rng: random.Random) -> Draft:
    z, charge = rng.choice(IONS)
    neutrons, electrons = z + rng.randrange(1 + z // 3), z - charge
    sign = f"{abs(charge)} {'positive' if charge > 0 else 'negative'}"
    asked = (
        f"An ion of {NAMES_BY_NUMBER[z]} has {z} protons, {neutrons} neutrons and {sign} elementary "
        f"{'charge' if abs(charge) == 1 else 'charges'}. How many electrons does it have?"
    )
    move = f"{abs(charge)} {'fewer' if charge > 0 else 'more'}"
    why = f"A neutral atom would have {z} electrons; the ion has {move}, which makes {electrons}."
    return Draft(question=asked, answer=str(electrons), rationale=why)


def _shell(*, fill: bool) -> Scene:
    def ask(rng: random.Random) -> Draft:
        z = rng.randrange(3, 19)
        neutrons, inner = z + rng.randrange(4), (2,) if z <= 10 else (2, 8)
        outside = z - sum(inner)
        asked = (
            f"An atom of {NAMES_BY_NUMBER[z]} has {neutrons} neutrons and {z} electrons. The first shell holds 2, the "
            "second 8 and the third 8. "
        )
        why = (
            f"The inner shells take {' + '.join(map(str, inner))} of the {z} electrons, which leaves {outside} outside"
        )
        if not fill:
            asked += "How many electrons are in its outermost occupied shell?"
            return Draft(question=asked, answer=str(outside), rationale=f"{why}.")
        asked += "How many more electrons would its outermost occupied shell hold?"
        return Draft(question=asked, answer=str(8 - outside), rationale=f"{why}, and there is room for {8 - outside}.")

    return ask


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


def planets(rng: random.Random, level: int) -> Scene:
    """Rankings of planets by a table: an extreme (1), the second (2), under a condition (3)."""
    five = rng.sample(list(PLANETS), 5)
    table = "; ".join(f"{p} {PLANETS[p][0]}, {PLANETS[p][1]:g}, {PLANETS[p][2]}" for p in five)
    head = (
        "The table gives distance from the Sun in million km, diameter in thousand km, and length of the year in days: "
        f"{table}."
    )

    def ask(rng: random.Random) -> Draft | None:
        least, most, value = rng.choice(QUANTITIES)
        phrase, reverse = rng.choice(((least, False), (most, True)))
        ranked = fitting = sorted(five, key=value, reverse=reverse)
        asked = f"Which of these planets {phrase}?"
        if level == 2:
            fitting = ranked[1:]
            asked = f"Which of these planets {phrase}, apart from {ranked[0]}?"
        elif level == 3:
            limit, bigger = rng.choice((5, 10, 12.5, 13, 50, 100)), rng.random() < 0.5
            fitting = [p for p in ranked if (PLANETS[p][1] > limit) == bigger]
            asked = (
                f"Among those with a diameter of {'more' if bigger else 'less'} than {limit} thousand km, which "
                f"planet {phrase}?"
            )
            if not 2 <= len(fitting) <= 4 or fitting[0] == ranked[0]:
                return None
        question = f"{head} {asked}"
        return Draft(
            question=question,
            answer=fitting[0],
            rationale=f"In the order asked for, the planets are {join(ranked)}. "
            f"{'The first that meets the condition' if level > 1 else 'The first'} is {fitting[0]}.",
            structure=question,  # its numbers identify the planets
            unit=table,
        )

    return ask
