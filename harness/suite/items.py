"""The common form of a multiple-choice item, and how a task's loader turns items into lm-eval's splits.

A loader beside a task's YAML reads its data file and makes items; the templates in `tasks/_variants` render them. This
module reads no file and knows no data set.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import TaskError

if TYPE_CHECKING:
    from datasets import Dataset

LETTERS = "ABCDEFGHIJ"
Item = dict[str, Any]


def choice_item(
    *,
    identity: str,
    question: str,
    choices: Sequence[str],
    gold: int,
    context: str = "",
    rationale: str = "",
    cluster: str = "",
    shared: str = "",
) -> Item:
    """Make one multiple-choice item.

    Args:
        identity: The item's name in its file, for messages and records.
        question: What is asked.
        choices: The answers, without letters before them.
        gold: Index of the right one.
        context: What must be read before the question: a passage, a hint; may be empty.
        rationale: The explanation that the data set carries; empty when it has none.
        cluster: Items that share a text share this name; the item's own when empty.
        shared: The text that the study's template scores after each choice; the question when empty.

    Raises:
        TaskError: the key is out of range, a text is empty, or another choice is worded like the right one.
    """
    texts = [choice.strip() for choice in choices]
    if not 0 <= gold < len(texts):
        raise TaskError(f"item {identity}: key {gold} is out of range, the item has {len(texts)} choices.")
    if not question.strip() or not all(texts):
        raise TaskError(f"item {identity}: the question or a choice is empty.")
    if texts.count(texts[gold]) > 1:
        raise TaskError(f"item {identity}: another choice is worded like the right one; leave the item out.")
    return {
        "id": identity,
        "context": context.strip(),
        "question": question.strip(),
        "choices": texts,
        "letters": list(LETTERS[: len(texts)]),
        "gold": gold,
        "rationale": rationale.strip(),
        "cluster": cluster or identity,
        "shared": shared or question.strip(),
    }


def cluster_of(text: str) -> str:
    """Return a short name for a text that several items share."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def reserve(items: Sequence[Item], shots: int) -> tuple[list[Item], list[Item]]:
    """Set the first item of each of the first `shots` clusters apart for few-shot prompts.

    Returns:
        ``(test, fewshot)``; every other item of those clusters is in neither, so that no prompt shows a text that is
        evaluated.
    """
    first: dict[str, Item] = {}
    for item in items:
        if len(first) == shots:
            break
        first.setdefault(item["cluster"], item)
    return [item for item in items if item["cluster"] not in first], list(first.values())


def lettered_requests(rows: Iterable[Mapping[str, Any]], shots: int) -> list[Item]:
    """Return the first items of a request file in AI2's form, which has a row for each choice.

    Args:
        rows: Each with a ``doc`` of ``id``, ``gold`` and a ``query`` that lists the choices as " A. text" lines.
        shots: How many items.
    """
    items: dict[str, Item] = {}
    for row in rows:
        if len(items) == shots:
            break
        doc = row["doc"]
        question, *lines = doc["query"].removeprefix("Question: ").removesuffix("\nAnswer:").split("\n ")
        choices = [line[3:] for line in lines]
        items[doc["id"]] = choice_item(identity=doc["id"], question=question, choices=choices, gold=doc["gold"])
    return list(items.values())


def splits(test: Sequence[Item], fewshot: Sequence[Item]) -> dict[str, Dataset]:
    """Return what lm-eval's `custom_dataset` must give: a `test` and a `fewshot` split.

    Raises:
        TaskError: no item to evaluate.
    """
    from datasets import Dataset

    if not test:
        raise TaskError("the task has no items to evaluate; its data file is empty or was filtered to nothing.")
    parts = {"test": Dataset.from_list(list(test))}
    parts["fewshot"] = Dataset.from_list(list(fewshot)) if fewshot else parts["test"].select([])
    return parts
