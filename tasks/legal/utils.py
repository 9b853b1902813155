"""Loader of JEC-QA (AGIEval's files), the Chinese bar examination: half the items have more than one right option."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import read
from harness.items import choice_item, reserve, splits

if TYPE_CHECKING:
    from datasets import Dataset

HERE = Path(__file__).parent
SUBSETS = ["".join(letters) for size in range(1, 5) for letters in combinations("ABCD", size)]


def jec_qa(data: list[str], answers: str = "any", shots: int = 5, **_: Any) -> dict[str, Dataset]:
    """JEC-QA from one or two files: all items, or only those with one right option (`answers`).

    Items without a key, or with two options of the same text, are left out.
    """
    items = []
    for name in data:
        for n, row in enumerate(read(name, HERE, fields={"question": str, "options": list, "label": list})):
            key = "".join(letter for letter in "ABCD" if letter in row["label"])
            choices = [option[3:] for option in row["options"]]
            if not key or len(set(choices)) < len(choices):
                continue
            if answers == "any" or len(key) == 1:
                item = choice_item(
                    identity=f"{name}/{n}", question=row["question"], choices=choices, gold="ABCD".index(key[0])
                )
                items.append(item | ({"subsets": SUBSETS, "answer": key} if answers == "any" else {}))
    return splits(*reserve(items, shots))
