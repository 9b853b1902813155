"""ScienceQA with its images, lectures and splits, and ARC with the request files of its train split."""

from __future__ import annotations

from functools import partial
from typing import Any

from tests.synthetic import requests
from tests.synthetic.words import FRUIT

WHOLE, FIRST_PART = 420, 240  # the first part is the beginning of the whole, as upstream's recovered file is


def scienceqa(count: int) -> dict[str, dict[str, Any]]:
    """Problems by their number; a quarter has an image, some lack the lecture or the solution."""
    return {str(n): _problem(n) for n in range(1, count + 1)}


def _problem(number: int) -> dict[str, Any]:
    choices = 2 + (number - 2) % 7 % 3
    return {
        "question": f"A basket holds {number} stones and one is added. How many are there?",
        "choices": [str(number + 1 + k - number % choices) for k in range(choices)],
        "answer": number % choices,
        "hint": "Count them one by one." if number % 6 == 1 else "",
        "image": "image.png" if number % 4 == 3 else None,
        "task": "closed choice",
        "grade": f"grade{1 + number % 12}",
        "subject": "natural science",
        "topic": "numbers",
        "category": "Counting",
        "skill": f"Count to {50 + number % 13}",
        "lecture": "" if number % 7 == 6 else f"Adding one to {number} gives the number that follows.",
        "solution": "" if number % 11 == 8 else f"After {number} comes {number + 1}.",
        "split": ("test", "train", "test", "val", "test")[number % 5],
    }


def arc(part: str, count: int = 120) -> list[dict[str, Any]]:
    """Four choices, of which one weighs most."""
    rows = []
    for n in range(count):
        fruit = FRUIT[n % len(FRUIT)]
        weights = [n + 1 + (k - n) % 4 for k in range(4)]
        question = f"Which {part} heap of {fruit} number {n} weighs most?"
        choices = [f"the heap of {weight} kilograms" for weight in weights]
        rows.append({"choices": choices, "query": f"Question: {question}", "gold": weights.index(max(weights))})
    return rows


FILES = {
    "scienceqa": partial(scienceqa, FIRST_PART),
    "scienceqa_full": partial(scienceqa, WHOLE),
    "arc_easy": partial(arc, "small"),
    "arc_challenge": partial(arc, "large"),
    "arc_easy_train": partial(requests.lettered, "arc_easy", 12),
    "arc_challenge_train": partial(requests.lettered, "arc_challenge", 12),
}
OTHERS, IMAGE, INCOMPLETE = "train and val items", "has an image", "no lecture or no solution"
COUNTS = {
    "scienceqa": (108, {OTHERS: 96, IMAGE: 36}),
    **dict.fromkeys(("scienceqa_explained", "scienceqa_lectured"), (84, {OTHERS: 96, IMAGE: 36, INCOMPLETE: 24})),
    "scienceqa_full": (189, {OTHERS: 168, IMAGE: 63}),
    **dict.fromkeys(
        ("scienceqa_full_explained", "scienceqa_full_lectured"), (147, {OTHERS: 168, IMAGE: 63, INCOMPLETE: 42})
    ),
    "arc_easy": (120, {}),
    "arc_challenge": (120, {}),
}
