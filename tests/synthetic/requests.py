"""Request files in the form of AI2's OLMo evaluations: a row for each choice of each item, with its context."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tests.synthetic.words import FRUIT, PEOPLE, PLACES, turned


def lettered(task: str, items: int) -> list[dict[str, Any]]:
    """Questions with their choices under letters and five examples before them; the letter is the continuation.

    Most items have four choices, every fourth has three or five.
    """
    shown = "".join(f"{_question(f'{task} example', n, 4)} {'ABCDE'[n % 4]}\n\n" for n in range(5))
    rows: list[dict[str, Any]] = []
    for number in range(items):
        choices = 4 if number % 4 != 3 else 3 + 2 * (number // 4 % 2)
        query = _question(task, number, choices)
        letters = list("ABCDE"[:choices])
        doc = {"id": f"own-{task}-{number}", "query": query, "choices": letters, "gold": number % choices}
        continuations = [f" {letter}" for letter in letters]
        rows += _rows(f"{task}:mc", number, doc, f"{shown}{query}", continuations)
    return rows


def _question(task: str, number: int, choices: int) -> str:
    """The right choice is the one at `number` modulo `choices`."""
    fruit, person = FRUIT[number % len(FRUIT)], PEOPLE[number % len(PEOPLE)]
    places = turned(PLACES, number, choices)
    lines = "".join(f"\n {'ABCDE'[k]}. at the {place}" for k, place in enumerate(places))
    asked = (
        f"In {task} story {number}, {person} finds a {fruit} at the {places[number % choices]}. Where was the {fruit}?"
    )
    return f"Question: {asked}{lines}\nAnswer:"


def spelled_out(task: str, items: int) -> list[dict[str, Any]]:
    """A passage and a question; the words of each choice are the continuations."""
    rows: list[dict[str, Any]] = []
    for number in range(items):
        names, places = turned(PEOPLE, number, 4), turned(PLACES, 3 * number, 4)
        support = " ".join(f"{name} waits at the {place}." for name, place in zip(names, places, strict=True))
        query = f"{support}\nQuestion: Who waits at the {places[number % 4]} on day {number}?\nAnswer:"
        doc = {"id": number, "query": query, "choices": names, "gold": number % 4}
        rows += _rows(f"{task}:rc", number, doc, query, [f" {name}" for name in names])
    return rows


def _rows(
    task: str, number: int, doc: dict[str, Any], context: str, continuations: Sequence[str]
) -> list[dict[str, Any]]:
    return [
        {
            "request_type": "loglikelihood",
            "doc": doc,
            "request": {"context": context, "continuation": continuation},
            "idx": place,
            "task_name": task,
            "doc_id": number,
            "native_id": doc["id"],
            "label": doc["gold"],
        }
        for place, continuation in enumerate(continuations)
    ]
