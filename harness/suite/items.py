"""The common form of a multiple-choice item, and the conversion of items to lm-eval's splits.

    def load(data, **_):
        rows = read(data[0], HERE)
        items = [choice_item(identity=row["id"], question=row["q"], choices=row["options"], gold=0) for row in rows]
        return splits(test=items[5:], fewshot=items[:5])

Such a loader, next to a task's YAML, reads the data file and makes the items; the templates in `tasks/_variants` render
them. This module reads no files and knows nothing about data sets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.errors import TaskError
from harness.suite.item_table import Item, item_table

if TYPE_CHECKING:
    from datasets import Dataset

LETTERS = "ABCDEFGHIJ"


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
        identity: The item's id, for messages and records.
        question: The question.
        choices: The answers, without letters.
        gold: Index of the right answer.
        context: Text to read before the question, such as a passage or a hint; may be empty.
        rationale: The data set's explanation; may be empty.
        cluster: Label shared by items about the same text; the identity if empty.
        shared: The text that the study's template scores after each choice; the question if empty.

    Raises:
        TaskError: The key is out of range, a text is empty, or another choice has the text of the right one.
    """
    texts = [choice.strip() for choice in choices]
    if not 0 <= gold < len(texts):
        raise TaskError(f"item {identity}: key {gold} is out of range, the item has {len(texts)} choices.")
    if not question.strip() or not all(texts):
        raise TaskError(f"item {identity}: the question or a choice is empty.")
    if texts.count(texts[gold]) > 1:
        raise TaskError(f"item {identity}: another choice has the same text as the right one; leave the item out.")
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
    """Return a cluster label for a text that several items share."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def reserve(items: Sequence[Item], shots: int) -> tuple[list[Item], list[Item]]:
    """Reserve the first item of each of the first `shots` clusters for few-shot prompts.

    Returns:
        ``(test, fewshot)``. The other items of those clusters are in neither, so that no evaluated text appears in a
        prompt.
    """
    first: dict[str, Item] = {}
    for item in items:
        if len(first) == shots:
            break
        first.setdefault(item["cluster"], item)
    return [item for item in items if item["cluster"] not in first], list(first.values())


def lettered_requests(rows: Iterable[Mapping[str, Any]], shots: int | None = None) -> list[Item]:
    """Return the items of a request file in AI2's format, which has one row per choice.

    Args:
        rows: Each has a ``doc`` with ``id``, ``gold`` and a ``query`` that lists the choices as " A. text" lines.
        shots: Number of items; None for all.
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
    """Return the splits `test` and `fewshot`, as lm-eval's `custom_dataset` expects them.

    Raises:
        TaskError: There is no item to evaluate.
    """
    return named_splits(test=test, fewshot=fewshot)


def named_splits(**parts: Sequence[Item]) -> dict[str, Dataset]:
    """Return splits by name; the first one has the evaluated items. Raises: TaskError: it is empty."""
    items = next(iter(parts.values()))
    if not items:
        raise TaskError("the task has no items to evaluate; its data file is empty, or the loader left out every item.")
    columns = list(items[0])
    return {name: item_table(part, columns) for name, part in parts.items()}
