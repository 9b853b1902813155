"""Loaders of the science tasks: ScienceQA without images, and ARC."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import read
from harness.items import Item, choice_item, cluster_of, lettered_requests, named_splits, splits

if TYPE_CHECKING:
    from datasets import Dataset

HERE = Path(__file__).parent
SHOTS = 5


def scienceqa(data: list[str], need: tuple[str, ...] = (), scored: str = "question", **_: Any) -> dict[str, Dataset]:
    """ScienceQA's test items without an image; few-shot examples from its train items.

    Args:
        data: The data file.
        need: Fields that must not be empty (`lecture`, `solution`); other items are left out.
        scored: The field that the study's template scores after each choice.
    """
    fields = {"question": str, "choices": list, "answer": int, "hint": str, "lecture": str, "solution": str}
    parts: dict[str, list[Item]] = {"test": [], "train": []}
    for n, row in enumerate(read(data[0], HERE, fields=fields), start=1):
        if row["split"] in parts and not row["image"] and all(row[field] for field in need):
            parts[row["split"]].append(_scienceqa_item(f"{data[0]}/{n}", row, scored))
    return splits(parts["test"], parts["train"][:SHOTS])


def _scienceqa_item(identity: str, row: dict[str, Any], scored: str) -> Item:
    item = choice_item(
        identity=identity,
        context="\n\n".join(filter(None, (row["lecture"], row["hint"]))),
        question=row["question"],
        choices=row["choices"],
        gold=row["answer"],
        rationale=row["solution"],
        cluster=cluster_of(row["skill"]),
        shared=row[scored],
    )
    return item | {"lecture": row["lecture"]}


def arc(data: list[str], **_: Any) -> dict[str, Dataset]:
    """ARC: the test file, and few-shot examples from the train split's request file."""
    test, train = data
    items = [_arc_item(f"{test}/{n}", row) for n, row in enumerate(read(test, HERE, fields=ARC_FIELDS))]
    return splits(items, lettered_requests(read(train, HERE, fields={"doc": dict}), SHOTS))


ARC_FIELDS = {"query": str, "choices": list, "gold": int}


def _arc_item(identity: str, row: dict[str, Any]) -> Item:
    question = row["query"].removeprefix("Question: ")
    return choice_item(identity=identity, question=question, choices=row["choices"], gold=row["gold"])


def arc_as_lm_eval(data: list[str], **_: Any) -> dict[str, Dataset]:
    """ARC's test and train items, with upstream's fields."""
    test, train = data
    items = [_arc_item(f"{test}/{n}", row) for n, row in enumerate(read(test, HERE, fields=ARC_FIELDS))]
    examples = lettered_requests(read(train, HERE, fields={"doc": dict}))
    return named_splits(test=list(map(_with_labels, items)), train=list(map(_with_labels, examples)))


def _with_labels(item: Item) -> Item:
    labels = item["letters"]
    return {
        "id": item["id"],
        "question": item["question"],
        "choices": {"text": item["choices"], "label": labels},
        "answerKey": labels[item["gold"]],
    }
