"""Science with numbers: motion, density, circuits, energy, reactions, dilution. Distractors come from usual mistakes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from fractions import Fraction

from harness.mini import NAMES, Draft


def number(value: Fraction | int) -> str:
    """Write a number with at most three decimals, and no more than it needs."""
    return f"{float(value):.3f}".rstrip("0").rstrip(".")


def pool(right: Fraction | int, guesses: Iterable[Fraction | int], unit: str) -> list[str]:
    """Wrong answers with their unit: positive, not equal to the right one, each once, short enough to write out."""
    right = Fraction(right)
    kept = sorted({Fraction(g) for g in guesses} - {right})
    texts = [f"{number(g)} {unit}" for g in kept if g > 0 and (g * 100).denominator == 1 and g < 10**7]
    return list(dict.fromkeys(t for t in texts if t != f"{number(right)} {unit}"))


def motion(rng: random.Random, level: int) -> Draft | None:
    """Speed, distance and time: whole hours (1), minutes (2), two stages (3)."""
    name = rng.choice(NAMES)
    way, speeds = rng.choice(
        [("walks", (3, 4, 5, 6)), ("cycles", (12, 15, 16, 18, 20, 24)), ("drives", (40, 50, 60, 70, 80, 90))]
    )
    speed = rng.choice(speeds)
    if level == 1:
        hours = rng.choice((2, 3, 4, 5))
        distance = speed * hours
        if rng.random() < 0.5:
            guesses = [speed + hours, speed, distance + speed, distance - speed, Fraction(speed, hours), 2 * distance]
            asked = f"{name} {way} at a steady {speed} km/h for {hours} hours. How far does {name} go?"
            return _numeric(asked, distance, guesses, "km", f"Distance is speed times time: {speed} km/h x {hours} h")
        guesses = [hours + 1, hours - 1, hours * 2, Fraction(hours, 2), speed, hours + 2]
        asked = f"{name} {way} {distance} km at a steady {speed} km/h. How long does it take?"
        return _numeric(asked, hours, guesses, "hours", f"Time is distance over speed: {distance} km / {speed} km/h")
    minutes = rng.choice((10, 15, 20, 30, 40, 45, 90))
    part = Fraction(speed * minutes, 60)
    if part.denominator > 2:
        return None
    if level == 2:
        guesses = [
            Fraction(speed * minutes, 100),
            speed * minutes,
            part * 2,
            part + speed,
            Fraction(speed, 2),
            part / 2,
        ]
        asked = f"{name} {way} at a steady {speed} km/h for {minutes} minutes. How far does {name} go?"
        why = f"{minutes} minutes are {minutes}/60 of an hour, and {speed} km/h x {minutes}/60 h"
        return _numeric(asked, part, guesses, "km", why)
    other, hours = rng.choice([s for s in speeds if s != speed]), rng.choice((1, 2))
    total = part + other * hours
    guesses = [
        speed * hours + other,
        part + other,
        total + part,
        Fraction(speed + other, 2) * (hours + 1),
        other * hours,
    ]
    guesses += [total + speed, speed + other, total - Fraction(speed, 2)]
    asked = (
        f"{name} {way} for {minutes} minutes at {speed} km/h and then for {hours} {'hour' if hours == 1 else 'hours'} at "
        f"{other} km/h. How far does {name} go in all?"
    )
    why = f"The first part is {number(part)} km, the second is {other * hours} km; together they"
    return _numeric(asked, total, guesses, "km", why, verb="make")


def _numeric(
    asked: str, right: Fraction | int, guesses: Iterable[Fraction | int], unit: str, why: str, *, verb: str = "is"
) -> Draft | None:
    wrong = pool(right, guesses, unit)
    if len(wrong) < 3:
        return None
    answer = f"{number(right)} {unit}"
    return Draft(question=asked, correct=answer, wrong=wrong, rationale=f"{why} {verb} {answer}.")


# g/cm3, rounded to what a school table gives
DENSITIES = {
    "oak": Fraction(7, 10),
    "ice": Fraction(9, 10),
    "glass": Fraction(5, 2),
    "aluminium": Fraction(27, 10),
    "iron": Fraction(79, 10),
    "copper": Fraction(9),
    "lead": Fraction(113, 10),
    "gold": Fraction(193, 10),
}


def density(rng: random.Random, level: int) -> Draft | None:
    """Mass, volume and density: mass (1), volume (2), which material a measured block is of (3)."""
    material = rng.choice(list(DENSITIES))
    rho = DENSITIES[material]
    volume = rng.choice((2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40, 50))
    mass = rho * volume
    if level == 1:
        guesses = [
            volume / rho,
            rho + volume,
            mass * 10,
            mass / 10,
            mass * 2,
            mass + volume,
            mass - rho,
            Fraction(volume),
        ]
        asked = f"The density of {material} is {number(rho)} g/cm³. What is the mass of {volume} cm³ of {material}?"
        return _numeric(asked, mass, guesses, "g", f"Mass is density times volume: {number(rho)} g/cm³ x {volume} cm³")
    if level == 2:
        guesses = [mass * rho, mass + rho, mass, volume * 10, Fraction(volume, 2), volume * 2, volume + 5, volume + 1]
        asked = (
            f"The density of {material} is {number(rho)} g/cm³. What is the volume of {number(mass)} g of {material}?"
        )
        why = f"Volume is mass over density: {number(mass)} g / {number(rho)} g/cm³"
        return _numeric(asked, volume, guesses, "cm³", why)
    sides = [rng.choice((1, 2, 3, 4, 5)) for _ in range(3)]
    weight = rho * sides[0] * sides[1] * sides[2]
    others = rng.sample([m for m in DENSITIES if m != material], 5)
    table = ", ".join(f"{m} {number(DENSITIES[m])}" for m in sorted([material, *others]))
    box = " cm x ".join(map(str, sides))
    return Draft(
        question=f"Densities in g/cm³: {table}. A solid block of {box} cm has a mass of {number(weight)} g. "
        "What is it made of?",
        correct=material,
        wrong=others,
        rationale=f"The volume is {sides[0] * sides[1] * sides[2]} cm³, so the density is {number(weight)} g over that, "
        f"{number(rho)} g/cm³, which is that of {material}.",
    )


def circuit(rng: random.Random, level: int) -> Draft | None:
    """Ohm's law with one resistor (1), two in series (2), two in parallel (3)."""
    current = rng.choice((1, 2, 3, 4, 5))
    first, second = rng.choice((2, 3, 4, 5, 6, 8, 10, 12)), rng.choice((2, 3, 4, 6, 8, 10, 12, 15))
    if level == 1:
        volts = first * current
        kind = rng.randrange(3)
        if kind == 0:
            asked = f"A resistor of {first} ohms is connected to a {volts}-volt battery. What current flows?"
            guesses = [volts * first, volts - first, volts + first, current + 1, current * 2, Fraction(first, volts)]
            return _numeric(
                asked, current, guesses, "A", f"Current is voltage over resistance: {volts} V / {first} ohms"
            )
        if kind == 1:
            asked = f"A current of {current} A flows through a resistor of {first} ohms. What is the voltage across it?"
            guesses = [Fraction(first, current), first + current, volts * 2, first, volts + current, volts + first]
            return _numeric(
                asked, volts, guesses, "V", f"Voltage is current times resistance: {current} A x {first} ohms"
            )
        asked = f"A lamp draws {current} A from a {volts}-volt battery. What is its resistance?"
        guesses = [volts * current, volts + current, volts - current, first + 1, first * 2, Fraction(current, volts)]
        return _numeric(asked, first, guesses, "ohms", f"Resistance is voltage over current: {volts} V / {current} A")
    if level == 2:
        whole = first + second
        volts = whole * current
        asked = (
            f"Resistors of {first} ohms and {second} ohms are in series on a {volts}-volt battery. What current flows?"
        )
        guesses = [
            Fraction(volts, first),
            Fraction(volts, second),
            current * 2,
            current + 1,
            current + 2,
            volts - whole,
        ]
        return _numeric(
            asked, current, guesses, "A", f"In series the resistances add to {whole} ohms, and {volts} V / {whole} ohms"
        )
    whole_parallel = Fraction(first * second, first + second)
    if whole_parallel.denominator != 1 or first == second:
        return None
    asked = f"Resistors of {first} ohms and {second} ohms are connected in parallel. What is their combined resistance?"
    guesses = [first + second, Fraction(first + second, 2), abs(first - second), first * second, first, second]
    why = f"In parallel it is the product over the sum: {first * second} / {first + second}"
    return _numeric(asked, whole_parallel, guesses, "ohms", why)


def work(rng: random.Random, level: int) -> Draft | None:
    """Weight and work (1), power (2), kinetic energy or heat (3). Gravity is taken as 10 N/kg."""
    mass, height, seconds = rng.choice((2, 3, 5, 8, 12, 20, 40)), rng.choice((2, 3, 4, 5, 6)), rng.choice((2, 4, 5, 10))
    energy = mass * 10 * height
    if level == 1:
        asked = (
            f"How much work does it take to lift {mass} kg by {height} m, if gravity pulls with 10 N on each kilogram?"
        )
        guesses = [
            mass * height,
            mass * 10,
            mass * 10 + height,
            energy * 10,
            energy * 2,
            Fraction(energy, 2),
            10 * height,
        ]
        return _numeric(
            asked, energy, guesses, "J", f"The force is {mass * 10} N, and work is force times height, which"
        )
    if level == 2:
        asked = (
            f"A motor lifts {mass} kg by {height} m in {seconds} s. Gravity pulls with 10 N on each kilogram. "
            "What is the motor's power?"
        )
        power = Fraction(energy, seconds)
        guesses = [energy, energy * seconds, Fraction(mass * height, seconds), mass * 10, power * 2, power * 10]
        guesses += [Fraction(mass * 10, seconds)]
        return _numeric(
            asked,
            power,
            guesses,
            "W",
            f"The work is {energy} J, and power is work over time, {energy} J / {seconds} s, which",
        )
    speed = rng.choice((2, 3, 4, 5, 6, 8, 10, 20))
    if rng.random() < 0.5:
        kinetic = Fraction(mass * speed * speed, 2)
        asked = f"What is the kinetic energy of a trolley of {mass} kg that rolls at {speed} m/s?"
        guesses = [
            mass * speed,
            mass * speed * speed,
            Fraction(mass * speed, 2),
            kinetic / 2,
            mass * mass * speed,
            kinetic * 4,
        ]
        return _numeric(
            asked,
            kinetic,
            guesses,
            "J",
            f"Kinetic energy is half the mass times the speed squared: {mass} x {speed}² / 2",
        )
    kilograms, rise = rng.choice((2, 3, 5)), rng.choice((5, 10, 20, 30, 40))
    heat = Fraction(42, 10) * kilograms * rise
    start = rng.choice((10, 15, 20))
    asked = (
        f"Warming 1 kg of water by 1 °C takes 4.2 kJ. How much heat warms {kilograms} kg of water from {start} °C to "
        f"{start + rise} °C?"
    )
    guesses = [
        Fraction(42, 10) * kilograms * (start + rise),
        Fraction(42, 10) * rise,
        kilograms * rise,
        heat * 2,
        heat / 2,
    ]
    guesses += [Fraction(42, 10) * kilograms * start]
    return _numeric(asked, heat, guesses, "kJ", f"The water warms by {rise} °C, and 4.2 x {kilograms} x {rise}")


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
    """Conservation of mass: the product's mass (1), in proportion (2), with something left over (3)."""
    a, p, b, q, product = rng.choice(REACTIONS)
    scale = rng.choice((2, 3, 4, 5, 6, 8, 10))
    x, y = p * scale, q * scale
    if level == 1:
        if rng.random() < 0.5:
            asked = f"{x} g of {a} reacts completely with {y} g of {b} and forms only {product}. What mass of {product} forms?"
            guesses = [x, y, abs(x - y), x * y, 2 * (x + y), x + y + scale, Fraction(x + y, 2)]
            return _numeric(asked, x + y, guesses, "g", f"Mass is conserved: {x} g + {y} g")
        asked = f"{x} g of {a} reacts completely with {b}, and {x + y} g of {product} forms. What mass of {b} was used?"
        guesses = [x + y, 2 * x + y, x, Fraction(x + y, 2), y + scale, y * 2, y + 2 * scale]
        return _numeric(asked, y, guesses, "g", f"Mass is conserved: {x + y} g - {x} g")
    told = f"{p} g of {a} reacts with exactly {q} g of {b} to form {p + q} g of {product}."
    if level == 2:
        asked = f"{told} What mass of {product} forms from {x} g of {a} and enough {b}?"
        guesses = [x + q, x + p + q, y, x, (p + q) * x, (p + q) * (scale + 1), (p + q) * (scale - 1), x * 2]
        why = f"{x} g is {scale} times {p} g, so {scale} times {p + q} g forms, which"
        return _numeric(asked, (p + q) * scale, guesses, "g", why)
    extra = rng.randrange(1, 9)
    asked = f"{told} {x} g of {a} is mixed with {y + extra} g of {b}, and they react as far as possible. What mass of {b} is left?"
    guesses = [y, y + extra, x, abs(y + extra - x), extra + 1, extra + scale, 2 * extra, p + q, scale]
    return _numeric(
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
            rationale=f"The {rule} the pH, the more {kind} the liquid, and {best} has the {rule[:-2]}est pH of the five.",
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
            rationale=f"The acid is diluted {factor} times, and each tenfold dilution raises the pH of a strong acid by 1. "
            f"So the pH rises by {steps} to {start + steps}.",
        )
    first = rng.choice((2, 3, 4, 5, 6))
    asked = f"Solution P has pH {first} and solution Q has pH {first + steps}. How does the concentration of hydrogen ions in P compare with that in Q?"
    phrases = [f"{f} times as high" for f in (10, 100, 1000)] + [f"{f} times as low" for f in (10, 100, 1000)]
    phrases += [f"{steps + 1} times as high"]
    right = f"{factor} times as high"
    return Draft(
        question=asked,
        correct=right,
        wrong=[t for t in phrases if t != right],
        rationale=f"Each step of 1 on the pH scale is a factor of 10 in the concentration, and a lower pH means more hydrogen "
        f"ions. A difference of {steps} makes a factor of {factor}.",
    )


UNITS = (  # (small, large, how many small make one large)
    ("metres", "kilometres", 1000),
    ("grams", "kilograms", 1000),
    ("millilitres", "litres", 1000),
    ("centimetres", "metres", 100),
    ("millimetres", "centimetres", 10),
    ("seconds", "minutes", 60),
    ("minutes", "hours", 60),
    ("watts", "kilowatts", 1000),
)


def units(rng: random.Random, level: int) -> Draft | None:
    """Conversion: to the small unit (1), to the large (2), of a speed or an area (3)."""
    small, large, factor = rng.choice(UNITS)
    if level == 1:
        amount = Fraction(rng.choice((3, 5, 7, 9, 12, 15, 25, 45)), 2 if factor == 60 else rng.choice((1, 2, 10)))
        right = amount * factor
        guesses = [amount * f for f in (10, 60, 100, 1000, 10000, 24)] + [right * 2, right + factor, amount / 10]
        asked = f"How many {small} are there in {number(amount)} {large}?"
        return _numeric(
            asked, right, guesses, small, f"One {large[:-1]} has {factor} {small}, and {number(amount)} x {factor}"
        )
    if level == 2:
        right = Fraction(
            rng.choice((3, 5, 7, 9, 11, 15, 24, 33)), rng.choice((2, 4)) if factor == 60 else rng.choice((2, 10))
        )
        count = right * factor
        if count.denominator > 1:
            return None
        guesses = [right * 10, right / 10, right * 100, right * 2, right / 2, count, right + 1]
        asked = f"How many {large} do {number(count)} {small} make?"
        return _numeric(
            asked, right, guesses, large, f"{factor} {small} make one {large[:-1]}, and {number(count)} / {factor}"
        )
    if rng.random() < 0.5:
        speed = 5 * rng.choice((1, 2, 3, 4, 5, 6, 8, 10, 12))
        hourly = speed * Fraction(36, 10)
        asked = f"A bird flies at {speed} m/s. How fast is that in km/h?"
        guesses = [
            Fraction(speed) / Fraction(36, 10),
            speed * 60,
            speed * 36,
            Fraction(speed * 60, 100),
            speed * 3,
            hourly * 2,
        ]
        guesses += [speed * Fraction(6, 10), Fraction(speed)]
        return _numeric(asked, hourly, guesses, "km/h", f"An hour has 3600 s and a kilometre 1000 m, so {speed} x 3.6")
    side = rng.choice((2, 3, 4, 5, 6, 7, 8, 9, 12))
    other = rng.choice((2, 3, 4, 5, 6, 7, 8, 9, 12))
    area = side * other
    asked = f"A field is {side * 100} m long and {other * 100} m wide. What is its area in hectares (1 hectare = 10,000 m²)?"
    guesses = [area * 10, area * 100, Fraction(area, 10), side + other, 2 * (side + other), area * 1000, area + side]
    return _numeric(asked, area, guesses, "hectares", f"The area is {area * 10000} m², and {area * 10000} / 10000")
