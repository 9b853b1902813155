"""Physics with numbers: motion, density, circuits, energy, units. Distractors are common mistakes."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction

from harness.suite.generated import NAMES, Draft, sibling

Number = Fraction | int
_numeric = sibling(__file__, "numeric")
number: Callable[[Number], str] = _numeric.number
draft: Callable[..., Draft | None] = _numeric.draft


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
            guesses = [
                speed + hours,
                speed,
                distance + speed,
                distance - speed,
                Fraction(speed, hours),
                2 * distance,
            ]
            asked = f"{name} {way} at a steady {speed} km/h for {hours} hours. How far does {name} go?"
            return draft(asked, distance, guesses, "km", f"Distance is speed times time: {speed} km/h x {hours} h")
        guesses = [hours + 1, hours - 1, hours * 2, Fraction(hours, 2), speed, hours + 2]
        asked = f"{name} {way} {distance} km at a steady {speed} km/h. How long does it take?"
        return draft(asked, hours, guesses, "hours", f"Time is distance over speed: {distance} km / {speed} km/h")
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
        return draft(asked, part, guesses, "km", why)
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
        f"{name} {way} for {minutes} minutes at {speed} km/h and then for {hours} "
        f"{'hour' if hours == 1 else 'hours'} at "
        f"{other} km/h. How far does {name} go in all?"
    )
    why = f"The first part is {number(part)} km, the second is {other * hours} km; together they"
    return draft(asked, total, guesses, "km", why, verb="make")


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
        guesses: list[Number] = [
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
        return draft(asked, mass, guesses, "g", f"Mass is density times volume: {number(rho)} g/cm³ x {volume} cm³")
    if level == 2:
        guesses = [
            mass * rho,
            mass + rho,
            mass,
            volume * 10,
            Fraction(volume, 2),
            volume * 2,
            volume + 5,
            volume + 1,
        ]
        asked = (
            f"The density of {material} is {number(rho)} g/cm³. What is the volume of {number(mass)} g of {material}?"
        )
        why = f"Volume is mass over density: {number(mass)} g / {number(rho)} g/cm³"
        return draft(asked, volume, guesses, "cm³", why)
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
        rationale=f"The volume is {sides[0] * sides[1] * sides[2]} cm³, so the density is {number(weight)} g over "
        "that, "
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
            guesses = [
                volts * first,
                volts - first,
                volts + first,
                current + 1,
                current * 2,
                Fraction(first, volts),
            ]
            return draft(asked, current, guesses, "A", f"Current is voltage over resistance: {volts} V / {first} ohms")
        if kind == 1:
            asked = f"A current of {current} A flows through a resistor of {first} ohms. What is the voltage across it?"
            guesses = [
                Fraction(first, current),
                first + current,
                volts * 2,
                first,
                volts + current,
                volts + first,
            ]
            return draft(asked, volts, guesses, "V", f"Voltage is current times resistance: {current} A x {first} ohms")
        asked = f"A lamp draws {current} A from a {volts}-volt battery. What is its resistance?"
        guesses = [
            volts * current,
            volts + current,
            volts - current,
            first + 1,
            first * 2,
            Fraction(current, volts),
        ]
        return draft(asked, first, guesses, "ohms", f"Resistance is voltage over current: {volts} V / {current} A")
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
        return draft(
            asked, current, guesses, "A", f"In series the resistances add to {whole} ohms, and {volts} V / {whole} ohms"
        )
    whole_parallel = Fraction(first * second, first + second)
    if whole_parallel.denominator != 1 or first == second:
        return None
    asked = f"Resistors of {first} ohms and {second} ohms are connected in parallel. What is their combined resistance?"
    guesses = [
        first + second,
        Fraction(first + second, 2),
        abs(first - second),
        first * second,
        first,
        second,
    ]
    why = f"In parallel it is the product over the sum: {first * second} / {first + second}"
    return draft(asked, whole_parallel, guesses, "ohms", why)


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
        return draft(asked, energy, guesses, "J", f"The force is {mass * 10} N, and work is force times height, which")
    if level == 2:
        asked = (
            f"A motor lifts {mass} kg by {height} m in {seconds} s. Gravity pulls with 10 N on each kilogram. "
            "What is the motor's power?"
        )
        power = Fraction(energy, seconds)
        guesses = [
            energy,
            energy * seconds,
            Fraction(mass * height, seconds),
            mass * 10,
            power * 2,
            power * 10,
        ]
        guesses += [Fraction(mass * 10, seconds)]
        return draft(
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
        return draft(
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
    return draft(asked, heat, guesses, "kJ", f"The water warms by {rise} °C, and 4.2 x {kilograms} x {rise}")


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
        guesses: list[Number] = [
            *(amount * f for f in (10, 60, 100, 1000, 10000, 24)),
            right * 2,
            right + factor,
            amount / 10,
        ]
        asked = f"How many {small} are there in {number(amount)} {large}?"
        return draft(
            asked,
            right,
            guesses,
            small,
            f"One {large[:-1]} has {factor} {small}, and {number(amount)} x {factor}",
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
        return draft(
            asked,
            right,
            guesses,
            large,
            f"{factor} {small} make one {large[:-1]}, and {number(count)} / {factor}",
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
        return draft(asked, hourly, guesses, "km/h", f"An hour has 3600 s and a kilometre 1000 m, so {speed} x 3.6")
    side = rng.choice((2, 3, 4, 5, 6, 7, 8, 9, 12))
    other = rng.choice((2, 3, 4, 5, 6, 7, 8, 9, 12))
    area = side * other
    asked = (
        f"A field is {side * 100} m long and {other * 100} m wide. What is its area in hectares (1 hectare = "
        "10,000 m²)?"
    )
    guesses = [
        area * 10,
        area * 100,
        Fraction(area, 10),
        side + other,
        2 * (side + other),
        area * 1000,
        area + side,
    ]
    return draft(asked, area, guesses, "hectares", f"The area is {area * 10000} m², and {area * 10000} / 10000")
