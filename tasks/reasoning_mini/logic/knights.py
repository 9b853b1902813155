"""Puzzles about who tells the truth. The key is the only assignment that is consistent with all statements."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from harness.suite.generated import NAMES, Draft, join


class Saying(NamedTuple):
    """A statement: its words, and whether it is true in a given world."""

    text: str
    true_in: Callable[[Sequence[bool]], bool]


KINDS = ("knave", "knight")


def knights(rng: random.Random, level: int) -> Draft | None:
    """Two or three islanders speak; a knight's statement is true, a knave's is false. What is each?"""
    people = rng.sample(NAMES, 2 if level == 1 else 3)
    worlds = list(itertools.product((False, True), repeat=len(people)))
    truth = rng.choice(worlds)
    sayings = []
    for speaker in range(len(people)):
        fitting = [s for s in _sayings(people, speaker, level) if s.true_in(truth) == truth[speaker]]
        sayings.append(rng.choice(fitting))
    fits = [w for w in worlds if all(s.true_in(w) == w[i] for i, s in enumerate(sayings))]
    if fits != [truth]:
        return None
    said = " ".join(f'{name} says: "{s.text}"' for name, s in zip(people, sayings, strict=True))
    check = "; ".join(
        f"{name}'s statement is {'true' if truth[i] else 'false'}, as a {KINDS[truth[i]]}'s must be"
        for i, name in enumerate(people)
    )
    return Draft(
        question=f"On an island knights always tell the truth and knaves always lie. {said} Which of these is right?",
        correct=_describe(people, truth),
        wrong=[_describe(people, w) for w in worlds if w != truth],
        rationale=f"Suppose {_describe(people, truth)[:-1]}: {check}. No other assignment fits what was said.",
    )


def _describe(people: Sequence[str], world: Sequence[bool]) -> str:
    return join([f"{name} is a {KINDS[kind]}" for name, kind in zip(people, world, strict=True)]) + "."


def _sayings(people: Sequence[str], speaker: int, level: int) -> list[Saying]:
    """What a person may say of the others and of themselves."""
    others = [i for i in range(len(people)) if i != speaker]
    result = [saying for i in others for saying in _about(people, speaker, i)]
    if level == 3:
        a, b = (people[i] for i in others)
        result = result[4:6] + result[10:12]
        result += [
            Saying(f"{a} and {b} are of the same kind.", lambda w: w[others[0]] == w[others[1]]),
            Saying(f"{a} and {b} are of different kinds.", lambda w: w[others[0]] != w[others[1]]),
            Saying("Exactly one of us three is a knave.", lambda w: sum(w) == 2),
            Saying("Exactly one of us three is a knight.", lambda w: sum(w) == 1),
            Saying(f"If {a} is a knight, then {b} is a knight.", lambda w: not w[others[0]] or w[others[1]]),
        ]
    return result


def _about(people: Sequence[str], speaker: int, i: int) -> list[Saying]:
    """What one person may say of another."""
    name = people[i]
    return [
        Saying(f"{name} is a knight.", lambda w: w[i]),
        Saying(f"{name} is a knave.", lambda w: not w[i]),
        Saying(f"{name} and I are of the same kind.", lambda w: w[i] == w[speaker]),
        Saying(f"{name} and I are of different kinds.", lambda w: w[i] != w[speaker]),
        Saying(f"At least one of {name} and me is a knave.", lambda w: not (w[i] and w[speaker])),
        Saying(f"{name} is a knight or I am a knave.", lambda w: w[i] or not w[speaker]),
    ]


DEEDS = (
    "ate the last pancake",
    "broke the blue vase",
    "hid the piano key",
    "left the gate open",
    "rang the bell at midnight",
    "painted the statue green",
    "took the spare umbrella",
    "let the parrot out",
)


def culprit(rng: random.Random, level: int) -> Draft | None:
    """One of four or five did it, and it is known how many of their statements are true. Who did it?"""
    size = 4 if level < 3 else 5
    people, deed = rng.sample(NAMES, size), rng.choice(DEEDS)
    guilty = rng.randrange(size)
    sayings = [rng.choice(_accusations(people, speaker)) for speaker in range(size)]
    if len({text for text, _ in sayings}) < size:
        return None
    true_count = sum(guilty in who for _, who in sayings)
    wanted = {1: 1, 2: size - 1, 3: 2}[level]
    alike = [g for g in range(size) if sum(g in who for _, who in sayings) == true_count]
    if true_count != wanted or alike != [guilty]:
        return None
    said = " ".join(f'{name} says: "{text}"' for name, (text, _) in zip(people, sayings, strict=True))
    rule = {1: "Exactly one of these statements is true.", 2: "Exactly one of these statements is false."}
    truthful = [name for name, (_, who) in zip(people, sayings, strict=True) if guilty in who]
    truths = (
        f"the only true statement is that of {truthful[0]}"
        if len(truthful) == 1
        else f"the true statements are those of {join(truthful)}"
    )
    return Draft(
        question=f"One of {join(people)} {deed}. {said} {rule.get(level, 'Exactly two of these statements are true.')} "
        f"Who {deed}?",
        correct=people[guilty],
        wrong=[name for i, name in enumerate(people) if i != guilty],
        rationale=f"If it was {people[guilty]}, {truths}, as many as there should be. With anyone else the count "
        "would be "
        "different.",
    )


def _accusations(people: Sequence[str], speaker: int) -> list[tuple[str, frozenset[int]]]:
    """Statements, each with the set of people whose guilt makes it true."""
    everyone = frozenset(range(len(people)))
    others = sorted(everyone - {speaker})
    result = [("It was not me.", everyone - {speaker})]
    for i in others:
        result += [
            (f"It was {people[i]}.", frozenset({i})),
            (f"It was not {people[i]}.", everyone - {i}),
        ]
    for i, k in itertools.combinations(others, 2):
        result += [
            (f"It was {people[i]} or {people[k]}.", frozenset({i, k})),
            (f"It was neither {people[i]} nor {people[k]}.", everyone - {i, k}),
        ]
    return result
