"""Puzzles about who tells the truth. The key is the only assignment that is consistent with all statements."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import NamedTuple

from harness.suite.generated import NAMES, Draft, Scene, join, structure_of


class Saying(NamedTuple):
    """A statement: its words, and whether it is true in a given world."""

    text: str
    true_in: Callable[[Sequence[bool]], bool]


KINDS = ("knave", "knight")


def knights(rng: random.Random, level: int) -> Scene:
    """Two or three islanders speak; a knight's statement is true, a knave's is false. What is each?"""
    people = rng.sample(NAMES, 2 if level == 1 else 3)
    worlds = list(itertools.product((False, True), repeat=len(people)))
    sayings = [_sayings(people, speaker, level) for speaker in range(len(people))]

    def ask(rng: random.Random) -> Draft | None:
        truth = rng.choice(worlds)
        chosen = [
            rng.choice([s for s in own if s.true_in(truth) == truth[speaker]]) for speaker, own in enumerate(sayings)
        ]
        if [w for w in worlds if all(s.true_in(w) == w[i] for i, s in enumerate(chosen))] != [truth]:
            return None
        said = " ".join(f'{name} says: "{s.text}"' for name, s in zip(people, chosen, strict=True))
        check = "; ".join(
            f"{name}'s statement is {'true' if truth[i] else 'false'}, as a {KINDS[truth[i]]}'s must be"
            for i, name in enumerate(people)
        )
        answer = _describe(people, truth)
        return Draft(
            question=f"On an island knights always tell the truth and knaves always lie. {said} "
            "Which of these is right?",
            answer=answer,
            rationale=f"Suppose {answer[:-1]}: {check}. No other assignment fits what was said.",
        )

    return ask


def _describe(people: Sequence[str], world: Sequence[bool]) -> str:
    return join([f"{name} is a {KINDS[kind]}" for name, kind in zip(people, world, strict=True)]) + "."


def _sayings(people: Sequence[str], speaker: int, level: int) -> list[Saying]:
    """What a person may say of the others and of themselves."""
    others = [i for i in range(len(people)) if i != speaker]
    result = [saying for i in others for saying in _about(people, speaker, i)]
    if level == 1:
        result += [
            Saying("We are both knaves.", lambda w: not any(w)),
            Saying("At least one of us is a knight.", any),
            Saying("Exactly one of us is a knave.", lambda w: sum(w) == 1),
            Saying(f"If I am a knight, then {people[others[0]]} is a knave.", lambda w: not all(w)),
            Saying(f"I am a knight, and {people[others[0]]} is a knave.", lambda w: w[speaker] and not w[others[0]]),
            Saying(f"I am a knave, but {people[others[0]]} is a knight.", lambda w: w[others[0]] and not w[speaker]),
        ]
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


def culprit(rng: random.Random, level: int) -> Scene:
    """One of four or five did it, and it is known how many of their statements are true. Who did it?"""
    size = 4 if level < 3 else 5
    names, deed = rng.sample(NAMES, size), rng.choice(DEEDS)
    guilty, accusations = _accusers(rng, size, {1: 1, 2: size - 1, 3: 2}[level])
    rule = RULES[level]

    def ask(rng: random.Random) -> Draft:
        people = rng.sample(names, size)  # the same puzzle about other persons
        texts = [text.format(*people) for text, _ in accusations]
        said = " ".join(f'{name} says: "{text}"' for name, text in zip(people, texts, strict=True))
        truthful = [name for name, (_, who) in zip(people, accusations, strict=True) if guilty in who]
        truths = (
            f"the only true statement is that of {truthful[0]}"
            if len(truthful) == 1
            else f"the true statements are those of {join(truthful)}"
        )
        return Draft(
            question=f"One of {join(people)} {deed}. {said} {rule} Who {deed}?",
            answer=people[guilty],
            rationale=f"If it was {people[guilty]}, {truths}, as many as there should be. With anyone else the count "
            "would be different.",
            structure=structure_of(f"{said} {rule}", NAMES),
        )

    return ask


RULES = {
    1: "Exactly one of these statements is true.",
    2: "Exactly one of these statements is false.",
    3: "Exactly two of these statements are true.",
}
Accusation = tuple[str, frozenset[int]]
"""A statement, with numbers for the people, and the set of people whose guilt makes it true."""


def _accusers(rng: random.Random, size: int, wanted: int) -> tuple[int, list[Accusation]]:
    """Draw who did it and statements of which `wanted` are true, a number that fits nobody else."""
    while True:
        guilty = rng.randrange(size)
        chosen = [rng.choice(_accusations(size, speaker)) for speaker in range(size)]
        counts = [sum(person in who for _, who in chosen) for person in range(size)]
        if counts[guilty] == wanted and counts.count(wanted) == 1 and len({text for text, _ in chosen}) == size:
            return guilty, chosen


@lru_cache
def _accusations(size: int, speaker: int) -> tuple[Accusation, ...]:
    everyone = frozenset(range(size))
    others = sorted(everyone - {speaker})
    result = [("It was not me.", everyone - {speaker})]
    for i in others:
        result += [(f"It was {{{i}}}.", frozenset({i})), (f"It was not {{{i}}}.", everyone - {i})]
    for i, k in itertools.combinations(others, 2):
        result += [
            (f"It was {{{i}}} or {{{k}}}.", frozenset({i, k})),
            (f"It was neither {{{i}}} nor {{{k}}}.", everyone - {i, k}),
        ]
    return tuple(result)
