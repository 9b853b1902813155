"""The six sets of word analogies in their one file, and E-KAR in the form of its card."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.synthetic.words import FRUIT, YOUNG, YOUNG_ZH

# How many choices an item of each set has, in turn: U2 and U4 have items with three, four and five.
CHOICES = {"bats": (4,), "sat": (5,), "u2": (5, 4, 3), "u4": (4, 5, 3, 4), "google": (4,), "bats_cap": (4,)}
VALIDATION, TEST = 8, 120


def word_analogy() -> dict[str, list[list[dict[str, Any]]]]:
    """For each set its validation and its test items, with the predictions that upstream's file carries."""
    return {
        name: [[_pair(name, n) for n in range(TEST, TEST + VALIDATION)], [_pair(name, n) for n in range(TEST)]]
        for name in CHOICES
    }


def _pair(name: str, number: int) -> dict[str, Any]:
    """One fruit and many: the right pair is related alike, the others name two fruits."""
    count = CHOICES[name][number % len(CHOICES[name])]
    words = [FRUIT[(number + number // len(FRUIT) + k + 1) % len(FRUIT)] for k in range(count)]
    right = number % count
    stem = FRUIT[number % len(FRUIT)]
    pairs = [[word, f"{words[(k + (k != right)) % count]}s"] for k, word in enumerate(words)]
    return {
        "stem": [stem, f"{stem}s"],
        "answer": right,
        "choice": pairs,
        "prefix": f"plural-{number % 10}",
        "pred/fasttext": (number + 1) % count,
        "pred/glove": right,
        "pred/w2v": None,
        "pred/pmi": 0,
    }


def ekar(language: str, numbers: range) -> list[dict[str, Any]]:
    """Animals and their young; the first explanation is of the question, then one of each choice."""
    animals = YOUNG_ZH if language == "zh" else YOUNG
    rows = []
    for n in numbers:
        pairs = [animals[(n + k) % len(animals)] for k in range(5)]
        rows.append(_ekar_row(language, n, [(f"{old} {n}", f"{young} {n}") for old, young in pairs]))
    return rows


def _ekar_row(language: str, number: int, pairs: list[tuple[str, str]]) -> dict[str, Any]:
    right = number % 4
    texts = [":".join(pair if k == right else pair[::-1]) for k, pair in enumerate(pairs[1:])]
    young = "“{}”的幼崽是“{}”。" if language == "zh" else '"{1}" is the young of "{0}".'
    return {
        "id": f"own{number}-{language}",
        "question": ":".join(pairs[0]),
        "choices": {"label": list("ABCD"), "text": texts},
        "answerKey": "ABCD"[right],
        "explanation": [young.format(*pair) for pair in pairs],
        "relation": [[[*pair, "R3.7"]] for pair in pairs],
    }


FILES = {
    "word_analogy": word_analogy,
    **{f"ekar_{language}_test": partial(ekar, language, range(120)) for language in ("en", "zh")},
    **{f"ekar_{language}_validation": partial(ekar, language, range(120, 128)) for language in ("en", "zh")},
}
COUNTS: dict[str, tuple[int, dict[str, int]]] = {
    **dict.fromkeys((f"word_analogy_{name}" for name in CHOICES if name != "bats_cap"), (TEST, {})),
    **dict.fromkeys(("ekar_en", "ekar_zh"), (120, {})),
}
