"""What a family of problems is, and how the arguments of its calls are drawn."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, NamedTuple

WORDS = (
    *(
        "apple",
        "River",
        "stone",
        "music",
        "candle",
        "garden",
        "window",
        "silver",
        "Button",
        "planet",
        "rocket",
        "summer",
    ),
    *(
        "tiger",
        "paper",
        "bread",
        "Cloud",
        "ocean",
        "piano",
        "lemon",
        "mirror",
        "basket",
        "forest",
        "needle",
        "sea",
        "ox",
    ),
)
PARAMETERS: dict[str, tuple[Any, ...]] = {
    "k": (2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22),
    "s": (2, 3, 4, 5),
    "t": (6, 7, 8, 9, 10, 11),
    "lo": (-6, -5, -4, -3, -2, -1, 0, 1),
    "hi": (5, 6, 7, 8, 9, 10, 11, 12),
    "c": tuple("aeiorstln"),
    "d": tuple("bcdfgmpw"),
    "sep": ("-", "+", "/", "_", ":", "|", "."),
    "mark": ("*", "#", "?", "x", "@", "=", "~", "!"),
    "word": ("ping", "tick", "buzz", "hop", "clap", "beep", "zap", "pop"),
}


class Family(NamedTuple):
    """A kind of problem. `make` draws the arguments of one call; the calls in `edges` are always tested."""

    name: str
    level: int
    signature: str
    doc: str
    body: str
    wrong: tuple[str, ...]
    make: Callable[[random.Random], tuple[Any, ...]]
    edges: tuple[tuple[Any, ...], ...] = ()


def numbers(rng: random.Random) -> tuple[list[int]]:
    """Draw a list of 5 to 8 numbers from -5 to 30."""
    return ([rng.randrange(-5, 31) for _ in range(rng.choice((5, 6, 8)))],)


def small_numbers(rng: random.Random) -> tuple[list[int]]:
    """Draw a list of 6 to 10 numbers from -9 to 15."""
    return ([rng.randrange(-9, 16) for _ in range(rng.choice((6, 8, 10)))],)


def many_numbers(rng: random.Random) -> tuple[list[int]]:
    """Draw a list of 9 to 26 numbers from 0 to 49."""
    return ([rng.randrange(0, 50) for _ in range(rng.choice((9, 14, 26)))],)


def words(rng: random.Random) -> tuple[list[str]]:
    """Draw a list of 3 to 6 words."""
    return (rng.sample(WORDS, rng.choice((3, 4, 6))),)


def text(rng: random.Random) -> tuple[str]:
    """Draw a text of 2 to 4 words."""
    return (" ".join(rng.sample(WORDS, rng.choice((2, 3, 4)))),)


def word(rng: random.Random) -> tuple[str]:
    """Draw a word."""
    return (rng.choice(WORDS),)


def number(rng: random.Random) -> tuple[int]:
    """Draw a number from 1 to 399."""
    return (rng.randrange(1, 400),)


def count(rng: random.Random) -> tuple[int]:
    """Draw a number from 1 to 30."""
    return (rng.randrange(1, 31),)


def stock(rng: random.Random) -> tuple[dict[str, int]]:
    """Draw five words with a number from 1 to 25 each."""
    return ({word: rng.randrange(1, 26) for word in rng.sample(WORDS, 5)},)
