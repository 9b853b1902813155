"""Ordering puzzles: people compared, people in a row."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from harness.suite.generated import NAMES, ORDINALS, Draft, Scene, join, structure_of

# more, less, most, least
SCALES = (
    ("taller", "shorter", "tallest", "shortest"),
    ("older", "younger", "oldest", "youngest"),
    ("heavier", "lighter", "heaviest", "lightest"),
    ("faster", "slower", "fastest", "slowest"),
    ("richer", "poorer", "richest", "poorest"),
    ("stronger", "weaker", "strongest", "weakest"),
)


class Clue(NamedTuple):
    """`high` is taller than `low`, or whatever the scale compares; if `turned`, the text says who is shorter."""

    high: str
    low: str
    turned: bool

    def say(self, more: str, less: str) -> str:
        return f"{self.low} is {less} than {self.high}." if self.turned else f"{self.high} is {more} than {self.low}."

    def __str__(self) -> str:
        return f"{self.low}<{self.high}" if self.turned else f"{self.high}>{self.low}"


def _clues(rng: random.Random, pairs: Sequence[tuple[str, str]]) -> list[Clue]:
    return [Clue(high, low, rng.random() < 0.5) for high, low in rng.sample(pairs, len(pairs))]


def compare(rng: random.Random, level: int) -> Scene:
    """A chain of comparisons that fixes the whole order; who has a given rank?"""
    more, less, most, least = rng.choice(SCALES)
    people = rng.sample(NAMES, 3 + level)

    def ask(rng: random.Random) -> Draft:
        order = rng.sample(people, len(people))
        clues = _clues(rng, list(itertools.pairwise(order)))
        rank = rng.randrange(level)  # level 1 asks for an end of the order
        superlative, ranked = (most, order) if rng.random() < 0.5 else (least, order[::-1])
        asked = superlative if rank == 0 else f"{ORDINALS[rank]} {superlative}"
        return Draft(
            question=f"{' '.join(clue.say(more, less) for clue in clues)} Who is the {asked}?",
            answer=ranked[rank],
            rationale=f"From {most} to {least} the order is {join(order)}, so the {asked} is {ranked[rank]}.",
            structure=structure_of(f"{' '.join(map(str, clues))} {rank} {superlative == most}", NAMES),
        )

    return ask


def must(rng: random.Random, level: int) -> Scene:
    """Comparisons that leave part of the order open; which comparison follows?"""
    more, less, _, _ = rng.choice(SCALES)
    names = rng.sample(NAMES, 3 + level)

    def ask(rng: random.Random) -> Draft | None:
        people = rng.sample(names, len(names))
        above = [max(0, i - rng.choice((1, 1, 2))) for i in range(1, len(people))]
        told, implied = _closure(tuple(above))
        if not implied:
            return None
        first, middle, last = rng.choice(implied)
        high, path, low = people[first], people[middle], people[last]
        clues = _clues(rng, [(people[a], people[b]) for a, b in told])
        answer = Clue(high, low, rng.random() < 0.5)
        true = {(people[a], people[b]) for a, b in [*told, *((a, b) for a, _, b in implied)]}
        return Draft(
            question=f"{' '.join(clue.say(more, less) for clue in clues)} Which statement must be true?",
            answer=answer.say(more, less),
            rationale=f"{high} is {more} than {path}, and {path} is {more} than {low}, so {high} is {more} than {low}.",
            structure=structure_of(f"{' '.join(map(str, clues))} {answer}", NAMES),
            claim=(high, low),
            accepts=true.__contains__,
        )

    return ask


@lru_cache
def _closure(above: tuple[int, ...]) -> tuple[list[tuple[int, int]], list[tuple[int, int, int]]]:
    """Return the pairs told, in which person ``i + 1`` stands below ``above[i]``, and what follows from them.

    A pair that follows has between its two people one through whom it does.
    """
    told = [(a, i) for i, a in enumerate(above, 1)]
    true = set(told)
    for b, a, c in itertools.product(range(len(above) + 1), repeat=3):
        if (a, b) in true and (b, c) in true:
            true.add((a, c))
    implied = sorted(true - set(told))
    return told, [(a, next(b for b in range(c) if (a, b) in true and (b, c) in true), c) for a, c in implied]


class Setting(NamedTuple):
    """The wording for a row of people; `{a}` and `{b}` are people, `{k}` is an ordinal."""

    intro: str
    at: str
    not_at: str
    next_to: str
    before: str
    gap: str
    ask: str
    whole: str


SETTINGS = (
    Setting(
        "{people} are standing in a queue.",
        "{a} is {k} in the queue.",
        "{a} is not {k} in the queue.",
        "{b} is directly behind {a}.",
        "{a} is somewhere ahead of {b}.",
        "Exactly one person stands between {a} and {b}.",
        "Who is {k} in the queue?",
        "From front to back the queue is {order}",
    ),
    Setting(
        "{people} ran a race, and no two finished together.",
        "{a} finished {k}.",
        "{a} did not finish {k}.",
        "{b} finished directly after {a}.",
        "{a} finished before {b}.",
        "Exactly one runner finished between {a} and {b}.",
        "Who finished {k}?",
        "The runners finished in the order {order}",
    ),
    Setting(
        "{people} sit side by side in one row of seats, numbered from left to right.",
        "{a} is in the {k} seat.",
        "{a} is not in the {k} seat.",
        "{b} is in the next seat to the right of {a}.",
        "{a} sits somewhere to the left of {b}.",
        "Exactly one person sits between {a} and {b}.",
        "Who is in the {k} seat?",
        "From left to right the row is {order}",
    ),
)
LineClue = tuple[str, int, int]


def holds(clue: LineClue, place: Sequence[int]) -> bool:
    """Return whether a clue about people a and b (or person a and place b) is true; `place[a]` is a's place from 0."""
    kind, a, b = clue
    if kind == "at":
        return place[a] == b
    if kind == "not_at":
        return place[a] != b
    if kind == "next_to":
        return place[b] == place[a] + 1
    if kind == "before":
        return place[a] < place[b]
    return abs(place[a] - place[b]) == 2


def line(rng: random.Random, level: int) -> Scene:
    """Clues about places in a row that allow one order only; who has a given place?"""
    size = 3 + min(level, 2)
    names = rng.sample(NAMES, size)
    setting = rng.choice(SETTINGS)
    truth, clues = _puzzle(rng, size, places_told=level < 3)
    told = {truth[a] for kind, a, _ in clues if kind == "at"}
    place = rng.choice([p for p in range(size) if p not in told])

    def ask(rng: random.Random) -> Draft:
        people = rng.sample(names, size)  # the same puzzle about other persons
        texts = [getattr(setting, kind).format(a=people[a], **_second(kind, b, people)) for kind, a, b in clues]
        order = [people[truth.index(p)] for p in range(size)]
        intro, asked = setting.intro.format(people=join(sorted(people))), setting.ask.format(k=ORDINALS[place])
        return Draft(
            question=" ".join([intro, *texts, asked]),
            answer=order[place],
            rationale=f"{setting.whole.format(order=join(order))}: no other order fits all clues, so the answer is "
            f"{order[place]}.",
            structure=_clue_structure(size, clues, place),
        )

    return ask


def _clue_structure(size: int, clues: Sequence[LineClue], place: int) -> str:
    """The clues with the people numbered by first appearance, and the place asked for."""
    numbers: dict[int, int] = {}
    lines = []
    for kind, a, b in clues:
        first = numbers.setdefault(a, len(numbers))
        second = b if kind in ("at", "not_at") else numbers.setdefault(b, len(numbers))
        lines.append(f"{kind} {first} {second}")
    return f"{size} people; {'; '.join(lines)}; {place}"


def _puzzle(rng: random.Random, size: int, *, places_told: bool) -> tuple[list[int], list[LineClue]]:
    while True:
        truth = rng.sample(range(size), size)
        clues = _line_clues(rng, truth, places_told=places_told)
        if clues is not None:
            return truth, clues


def _second(kind: str, b: int, people: Sequence[str]) -> dict[str, str]:
    return {"k": ORDINALS[b]} if kind in ("at", "not_at") else {"b": people[b]}


def _line_clues(rng: random.Random, truth: Sequence[int], *, places_told: bool) -> list[LineClue] | None:
    """Add true clues, each of which excludes an order, until only `truth` is left."""
    size = len(truth)
    kinds = ["next_to", "before", "before", "gap", "not_at", *(["at"] if places_told else [])]
    orders = list(itertools.permutations(range(size)))
    clues: list[LineClue] = []
    for _ in range(40):
        a, b = rng.sample(range(size), 2)
        clue = (rng.choice(kinds), a, b)
        if not holds(clue, truth) or (clue[0] == "at" and any(kind == "at" for kind, _, _ in clues)):
            continue
        left = [order for order in orders if holds(clue, order)]
        if len(left) < len(orders):
            clues.append(clue)
            orders = left
        if len(orders) == 1:
            return clues
    return None
