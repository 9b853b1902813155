"""The training files that the example stages name, in their upstream form: books, instructions, preferences."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.synthetic.words import FRUIT, PEOPLE, PLACES


def book(chapters: int = 40) -> str:
    """A book in Markdown."""
    return "".join(f"## Chapter {n}\n\n{_paragraph(n)}\n\n" for n in range(1, chapters + 1))


def _paragraph(number: int) -> str:
    return " ".join(
        f"{PEOPLE[(number * k) % len(PEOPLE)]} carried {number + k} {FRUIT[(number + 5 * k) % len(FRUIT)]}s from the "
        f"{PLACES[(number + k) % len(PLACES)]} to the {PLACES[(number + 3 * k + 1) % len(PLACES)]}."
        for k in range(1, 12)
    )


def text_instructions(count: int = 300) -> list[dict[str, str]]:
    """Instructions in Alpaca's form; every second has an input."""
    return [
        {
            "instruction": "Shorten the text." if n % 2 else f"Tell a story of {PEOPLE[n % len(PEOPLE)]}.",
            "input": _paragraph(n) if n % 2 else "",
            "output": _paragraph(n + 1).split(". ")[0] + "." if n % 2 else _paragraph(n + 2),
        }
        for n in range(count)
    ]


def code_instructions(count: int = 1100) -> list[dict[str, str]]:
    """Instructions to write a small function."""
    rows = []
    for n in range(count):
        fruit, limit = FRUIT[n % len(FRUIT)], 2 + n % 17
        name = ("count", "price", "weigh", "sort")[n % 4] + f"_{fruit}s"
        counting = f"    found = 0\n    for item in items:\n        if item == '{fruit}':\n            found += 1\n"
        body = (
            f"{counting}    return found",
            f"    return len(items) * {limit}",
            f"    return sum(item for item in items if item > {limit})",
            f"    return sorted(items)[:{limit}]",
        )[n % 4]
        asked = (
            f"count how often {fruit} is in a list",
            f"give the price of some {fruit}s at {limit} each",
            f"add up the weights of {fruit}s over {limit}",
            f"give the first {limit} {fruit}s in order",
        )[n % 4]
        rows.append(
            {
                "instruction": f"Write a Python function to {asked}.",
                "input": "",
                "output": f"def {name}(items):\n{body}",
            }
        )
    return rows


def preferences(count: int = 300) -> list[dict[str, Any]]:
    """Pairs in LLaMA-Factory's form: a polite answer is preferred to a curt one."""
    rows = []
    for n in range(count):
        fruit, place = FRUIT[n % len(FRUIT)], PLACES[n % len(PLACES)]
        rows.append(
            {
                "conversations": [{"from": "human", "value": f"Where do I find a {fruit} on day {n}?"}],
                "chosen": {"from": "gpt", "value": f"With pleasure: you will find a {fruit} at the {place}."},
                "rejected": {"from": "gpt", "value": f"Look for your {fruit} yourself."},
            }
        )
    return rows


def write_training_data(folder: Path) -> None:
    """Write into a data folder what the stage files in `experiments/stages` read from it."""
    contents = {
        "books/Own_Author/The Harvest.md": book(),
        "alpaca/alpaca_data.json": json.dumps(text_instructions()),
        "code_alpaca/code_alpaca_2k.json": json.dumps(code_instructions()),
        "llama_factory/dpo_en_demo.json": json.dumps(preferences()),
    }
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
