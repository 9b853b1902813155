"""Physics with numbers: motion, density, circuits, energy, units.

The four questions about a scene differ in one number of several, so that their answers are near each other.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from typing import NamedTuple

from harness.suite.generated import NAMES, Draft, Scene, sibling

Number = Fraction | int
_numeric = sibling(__file__, "numeric")
number: Callable[[Number], str] = _numeric.number
draft: Callable[..., Draft | None] = _numeric.draft

WAYS = {"walks": (3, 4, 5, 6), "cycles": (12, 15, 16, 18, 20, 24), "drives": (40, 50, 60, 70, 80, 90)}


def motion(rng: random.Random, level: int) -> Scene:
    """Speed, distance and time: whole hours (1), minutes (2), two stages (3)."""
    name, way = rng.choice(NAMES), rng.choice(list(WAYS))
    speed, other = rng.sample(WAYS[way], 2)
    told = f"{name} {way} at a steady {speed} km/h"
    if level == 1:
        return _whole_hours(name, way, speed, distance=rng.random() < 0.5)
    stage = rng.choice((1, 2))

    def ask(rng: random.Random) -> Draft | None:
        minutes = rng.choice((10, 12, 15, 20, 24, 30, 36, 40, 45, 48, 50, 75, 90))
        part = Fraction(speed * minutes, 60)
        if part.denominator > 2:
            return None
        if level == 2:
            asked = f"{told} for {minutes} minutes. How far does {name} go?"
            why = f"{minutes} minutes are {minutes}/60 of an hour, and {speed} km/h x {minutes}/60 h"
            return draft(asked, part, "km", why, structure=f"{speed} {minutes}")
        hours = rng.choice((1, 2, 3)) if stage == 1 else 2
        asked = (
            f"{name} {way} for {minutes} minutes at {speed} km/h and then for {hours} "
            f"{'hour' if hours == 1 else 'hours'} at {other} km/h. How far does {name} go in all?"
        )
        why = f"The first part is {number(part)} km, the second is {other * hours} km; together they"
        return draft(
            asked, part + other * hours, "km", why, verb="make", structure=f"{speed} {minutes} {other} {hours}"
        )

    return ask


def _whole_hours(name: str, way: str, speed: int, *, distance: bool) -> Scene:
    def ask(rng: random.Random) -> Draft | None:
        hours = rng.randrange(2, 13)
        if distance:
            asked = f"{name} {way} at a steady {speed} km/h for {hours} hours. How far does {name} go?"
            why = f"Distance is speed times time: {speed} km/h x {hours} h"
            return draft(asked, speed * hours, "km", why, structure=f"distance {speed} {hours}")
        asked = f"{name} {way} {speed * hours} km at a steady {speed} km/h. How long does it take?"
        why = f"Time is distance over speed: {speed * hours} km / {speed} km/h"
        return draft(asked, hours, "hours", why, structure=f"time {speed} {hours}")

    return ask


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
VOLUMES = (2, 3, 4, 5, 6, 8, 10, 12, 15, 18, 20, 24, 25, 30, 35, 40, 45, 50, 60)


def density(rng: random.Random, level: int) -> Scene:
    """Mass, volume and density: mass (1), volume (2), which material a measured block is of (3)."""
    if level == 3:
        return _block(rng)
    material, rho = rng.choice(list(DENSITIES.items()))
    told = f"The density of {material} is {number(rho)} g/cm³."

    def ask(rng: random.Random) -> Draft | None:
        volume = rng.choice(VOLUMES)
        mass = rho * volume
        if level == 1:
            asked = f"{told} What is the mass of {volume} cm³ of {material}?"
            why = f"Mass is density times volume: {number(rho)} g/cm³ x {volume} cm³"
            return draft(asked, mass, "g", why, structure=f"mass {rho} {volume}")
        asked = f"{told} What is the volume of {number(mass)} g of {material}?"
        why = f"Volume is mass over density: {number(mass)} g / {number(rho)} g/cm³"
        return draft(asked, volume, "cm³", why, structure=f"volume {rho} {volume}")

    return ask


def _block(rng: random.Random) -> Scene:
    """Which of six materials has the density of a block."""
    six = rng.sample(list(DENSITIES), 6)
    table = ", ".join(f"{m} {number(DENSITIES[m])}" for m in sorted(six))

    def ask(rng: random.Random) -> Draft:
        material, sides = rng.choice(six), [rng.randrange(1, 7) for _ in range(3)]
        volume, box = sides[0] * sides[1] * sides[2], " cm x ".join(map(str, sides))
        rho, mass = number(DENSITIES[material]), number(DENSITIES[material] * volume)
        return Draft(
            question=f"Densities in g/cm³: {table}. A solid block of {box} cm has a mass of {mass} g. "
            "What is it made of?",
            answer=material,
            rationale=f"The volume is {volume} cm³, so the density is {mass} g over that, {rho} g/cm³, which is that "
            f"of {material}.",
        )

    return ask


RESISTORS = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 24, 30, 36, 40, 60)


def circuit(rng: random.Random, level: int) -> Scene:
    """Ohm's law with one resistor (1), two in series (2), two in parallel (3)."""
    if level == 1:
        return rng.choice((_current, _voltage, _resistance))(rng)
    first, second = rng.choice(RESISTORS), rng.choice(RESISTORS)

    def series(rng: random.Random) -> Draft | None:
        whole, current = first + second, rng.randrange(1, 13)
        volts = whole * current
        asked = (
            f"Resistors of {first} ohms and {second} ohms are in series on a {volts}-volt battery. What current flows?"
        )
        why = f"In series the resistances add to {whole} ohms, and {volts} V / {whole} ohms"
        return draft(asked, current, "A", why)

    def parallel(rng: random.Random) -> Draft | None:
        second = rng.choice([r for r in RESISTORS if r != first])
        pair = f"{first} ohms and {second} ohms" if rng.random() < 0.5 else f"{second} ohms and {first} ohms"
        asked = f"Resistors of {pair} are connected in parallel. What is their combined resistance?"
        why = f"In parallel it is the product over the sum: {first * second} / {first + second}"
        return draft(asked, Fraction(first * second, first + second), "ohms", why)

    return series if level == 2 else parallel


def _current(rng: random.Random) -> Scene:
    ohms = rng.choice(RESISTORS)

    def ask(rng: random.Random) -> Draft | None:
        current = rng.randrange(1, 13)
        asked = f"A resistor of {ohms} ohms is connected to a {ohms * current}-volt battery. What current flows?"
        return draft(asked, current, "A", f"Current is voltage over resistance: {ohms * current} V / {ohms} ohms")

    return ask


def _voltage(rng: random.Random) -> Scene:
    ohms = rng.choice(RESISTORS)

    def ask(rng: random.Random) -> Draft | None:
        current = rng.randrange(1, 13)
        asked = f"A current of {current} A flows through a resistor of {ohms} ohms. What is the voltage across it?"
        return draft(asked, current * ohms, "V", f"Voltage is current times resistance: {current} A x {ohms} ohms")

    return ask


def _resistance(rng: random.Random) -> Scene:
    current = rng.randrange(1, 10)

    def ask(rng: random.Random) -> Draft | None:
        ohms = rng.choice(RESISTORS)
        asked = f"A lamp draws {current} A from a {current * ohms}-volt battery. What is its resistance?"
        return draft(asked, ohms, "ohms", f"Resistance is voltage over current: {current * ohms} V / {current} A")

    return ask


MASSES = (2, 3, 4, 5, 6, 8, 10, 12, 15, 20, 25, 30, 40)


def work(rng: random.Random, level: int) -> Scene:
    """Weight and work (1), power (2), kinetic energy or heat (3). Gravity is taken as 10 N/kg."""
    mass, height = rng.choice(MASSES), rng.randrange(2, 13)
    if level == 3:
        return _kinetic(mass) if rng.random() < 0.5 else _heat(rng)

    def lifting(rng: random.Random) -> Draft | None:
        height = rng.randrange(2, 13)
        asked = (
            f"How much work does it take to lift {mass} kg by {height} m, if gravity pulls with 10 N on each kilogram?"
        )
        why = f"The force is {mass * 10} N, and work is force times height, which"
        return draft(asked, mass * 10 * height, "J", why)

    def power(rng: random.Random) -> Draft | None:
        seconds, energy = rng.choice((2, 3, 4, 5, 6, 8, 10, 12, 15, 20)), mass * 10 * height
        asked = (
            f"A motor lifts {mass} kg by {height} m in {seconds} s. Gravity pulls with 10 N on each kilogram. "
            "What is the motor's power?"
        )
        why = f"The work is {energy} J, and power is work over time, {energy} J / {seconds} s, which"
        return draft(asked, Fraction(energy, seconds), "W", why)

    return lifting if level == 1 else power


def _kinetic(mass: int) -> Scene:
    def ask(rng: random.Random) -> Draft | None:
        speed = rng.randrange(2, 13)
        asked = f"What is the kinetic energy of a trolley of {mass} kg that rolls at {speed} m/s?"
        why = f"Kinetic energy is half the mass times the speed squared: {mass} x {speed}² / 2"
        return draft(asked, Fraction(mass * speed * speed, 2), "J", why)

    return ask


def _heat(rng: random.Random) -> Scene:
    kilograms, start = rng.choice((2, 3, 4, 5, 6, 8, 10)), rng.choice((10, 15, 20))

    def ask(rng: random.Random) -> Draft | None:
        rise = rng.randrange(5, 65, 5)
        asked = (
            f"Warming 1 kg of water by 1 °C takes 4.2 kJ. How much heat warms {kilograms} kg of water from {start} °C "
            f"to {start + rise} °C?"
        )
        return draft(
            asked,
            Fraction(42, 10) * kilograms * rise,
            "kJ",
            f"The water warms by {rise} °C, and 4.2 x {kilograms} x {rise}",
        )

    return ask


class Conversion(NamedTuple):
    """How many of the small unit make one of the large."""

    small: str
    large: str
    factor: int


CONVERSIONS = (
    Conversion("metres", "kilometres", 1000),
    Conversion("grams", "kilograms", 1000),
    Conversion("millilitres", "litres", 1000),
    Conversion("centimetres", "metres", 100),
    Conversion("millimetres", "centimetres", 10),
    Conversion("seconds", "minutes", 60),
    Conversion("minutes", "hours", 60),
    Conversion("watts", "kilowatts", 1000),
)
DIGITS = (2, 3, 5, 7, 9, 11, 12, 15, 24, 25, 33, 35, 45, 48)


def units(rng: random.Random, level: int) -> Scene:
    """Conversion: to the small unit (1), to the large (2), of a speed or an area (3).

    The questions about a scene differ by powers of ten, as the answers of someone would who gets the factor wrong.
    """
    if level == 3:
        return _speed(rng) if rng.random() < 0.5 else _area(rng)
    (small, large, factor), digits = rng.choice(CONVERSIONS), rng.choice(DIGITS)

    def ask(rng: random.Random) -> Draft | None:
        amount = digits * Fraction(10) ** rng.randrange(-2, 4)
        count = amount * factor
        if level == 1:
            asked = f"How many {small} are there in {number(amount)} {large}?"
            return draft(asked, count, small, f"One {large[:-1]} has {factor} {small}, and {number(amount)} x {factor}")
        asked = f"How many {large} do {number(count)} {small} make?"
        why = f"{factor} {small} make one {large[:-1]}, and {number(count)} / {factor}"
        return draft(asked, amount, large, why) if count.denominator == 1 else None

    return ask


def _speed(rng: random.Random) -> Scene:
    digits = rng.choice(DIGITS)

    def ask(rng: random.Random) -> Draft | None:
        speed = digits * Fraction(10) ** rng.randrange(-1, 4)
        why = f"An hour has 3600 s and a kilometre 1000 m, so {number(speed)} x 3.6"
        return draft(
            f"Something moves at {number(speed)} m/s. How fast is that in km/h?", speed * Fraction(36, 10), "km/h", why
        )

    return ask


def _area(rng: random.Random) -> Scene:
    side = rng.randrange(2, 13)

    def ask(rng: random.Random) -> Draft | None:
        other = rng.randrange(2, 13)
        asked = (
            f"A field is {side * 100} m long and {other * 100} m wide. What is its area in hectares (1 hectare = "
            "10,000 m²)?"
        )
        area = side * other
        return draft(asked, area, "hectares", f"The area is {area * 10000} m², and {area * 10000} / 10000")

    return ask
