"""Ordering puzzles: people compared, people in a row. `harness.suite.generated` chooses the distractors."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from typing import NamedTuple

from harness.suite.generated import NAMES, ORDINALS, Draft, join

# more, less, most, least
SCALES = (
    ("taller", "shorter", "tallest", "shortest"),
    ("older", "younger", "oldest", "youngest"),
    ("heavier", "lighter", "heaviest", "lightest"),
    ("faster", "slower", "fastest", "slowest"),
    ("richer", "poorer", "richest", "poorest"),
    ("stronger", "weaker", "strongest", "weakest"),
)


def compare(rng: random.Random, level: int) -> Draft:
    """A chain of comparisons that fixes the whole order; who has a given rank?"""
    more, less, most, least = rng.choice(SCALES)
    order = rng.sample(NAMES, 3 + level)
    clues = [_comparison(rng, a, b, more, less) for a, b in itertools.pairwise(order)]
    rng.shuffle(clues)
    rank = rng.randrange(level)  # level 1 asks for an end of the order
    superlative, ranked = (most, order) if rng.random() < 0.5 else (least, order[::-1])
    asked = superlative if rank == 0 else f"{ORDINALS[rank]} {superlative}"
    answer = ranked[rank]
    return Draft(
        question=f"{' '.join(clues)} Who is the {asked}?",
        correct=answer,
        wrong=[name for name in order if name != answer],
        rationale=f"From {most} to {least} the order is {join(order)}, so the {asked} is {answer}.",
    )


def must(rng: random.Random, level: int) -> Draft | None:
    """Comparisons that leave part of the order open; which comparison follows?"""
    more, less, _, _ = rng.choice(SCALES)
    people = rng.sample(NAMES, 3 + level)
    clues = [(people[max(0, i - rng.choice((1, 1, 2)))], people[i]) for i in range(1, len(people))]
    above = set(clues)
    for b, a, c in itertools.product(people, repeat=3):  # transitive closure: from a via b to c
        if (a, b) in above and (b, c) in above:
            above.add((a, c))
    implied = sorted(above - set(clues))
    if not implied:
        return None
    high, low = rng.choice(implied)
    path = next(b for b in people if (high, b) in above and (b, low) in above)
    shuffled = rng.sample(clues, len(clues))
    wrong = [_comparison(rng, a, b, more, less) for a, b in itertools.permutations(people, 2) if (a, b) not in above]
    return Draft(
        question=" ".join(_comparison(rng, a, b, more, less) for a, b in shuffled) + " Which statement must be true?",
        correct=_comparison(rng, high, low, more, less),
        wrong=wrong,
        rationale=f"{high} is {more} than {path}, and {path} is {more} than {low}, so {high} is {more} than {low}.",
    )


def _comparison(rng: random.Random, a: str, b: str, more: str, less: str) -> str:
    return f"{a} is {more} than {b}." if rng.random() < 0.5 else f"{b} is {less} than {a}."


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
Clue = tuple[str, int, int]


def holds(clue: Clue, place: Sequence[int]) -> bool:
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


def line(rng: random.Random, level: int) -> Draft | None:
    """Clues about places in a row that allow one order only; who has a given place?"""
    size = 3 + min(level, 2)
    people = rng.sample(NAMES, size)
    setting = rng.choice(SETTINGS)
    truth = rng.sample(range(size), size)
    clues = _clues(rng, truth, places_told=level < 3)
    if clues is None:
        return None
    told = {truth[a] for kind, a, _ in clues if kind == "at"}
    place = rng.choice([p for p in range(size) if p not in told])
    answer = people[truth.index(place)]
    texts = [getattr(setting, kind).format(a=people[a], **_second(kind, b, people)) for kind, a, b in clues]
    order = [people[truth.index(p)] for p in range(size)]
    return Draft(
        question=" ".join(
            [setting.intro.format(people=join(sorted(people))), *texts, setting.ask.format(k=ORDINALS[place])]
        ),
        correct=answer,
        wrong=[name for name in people if name != answer],
        rationale=f"{setting.whole.format(order=join(order))}: no other order fits all clues, so the answer is "
        f"{answer}.",
    )


def _second(kind: str, b: int, people: Sequence[str]) -> dict[str, str]:
    return {"k": ORDINALS[b]} if kind in ("at", "not_at") else {"b": people[b]}


def _clues(rng: random.Random, truth: Sequence[int], *, places_told: bool) -> list[Clue] | None:
    """Add true clues, each of which excludes an order, until only `truth` is left."""
    size = len(truth)
    kinds = ["next_to", "before", "before", "gap", "not_at", *(["at"] if places_told else [])]
    orders = list(itertools.permutations(range(size)))
    clues: list[Clue] = []
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
