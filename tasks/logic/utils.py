"""Loaders of the logic tasks: LogiQA (AGIEval's files), BIG-bench logical deduction, C-Eval logic."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import read, read_items
from harness.items import Item, choice_item, cluster_of, named_splits, reserve, splits

if TYPE_CHECKING:
    from datasets import Dataset

HERE = Path(__file__).parent
# AGIEval's LogiQA files mark options as "(A) text", "A．text", "A: text" or "A text".
MARKED = re.compile(r"\s*(?:[(（]([A-D])[)）]|([A-D])[.．、:：?]|([A-D])\s)\s*(.*)", re.DOTALL)


def logiqa(data: list[str], shots: int = 5, **_: Any) -> dict[str, Dataset]:
    """LogiQA: a passage, a question and four options; the key is a letter."""
    fields = {"passage": str, "question": str, "options": list, "label": str}
    items = [_logiqa_item(f"{data[0]}/{n}", row) for n, row in enumerate(read(data[0], HERE, fields=fields))]
    return splits(*reserve(items, shots))


def _logiqa_item(identity: str, row: dict[str, Any]) -> Item:
    choices = options_in_order(row["options"])
    return choice_item(
        identity=identity,
        context=row["passage"],
        question=row["question"],
        choices=choices,
        gold="ABCD".index(row["label"]),
        cluster=cluster_of(row["passage"]),
        shared=f"{row['passage'].strip()}\n{row['question'].strip()}",
    )


def options_in_order(options: list[str]) -> list[str]:
    """Remove the printed letters of the options and sort the options by letter, because the key is a printed letter.

    In 19 items the options are printed A, C, B, D. Where the marks are not A to D once each, what looks like a mark is
    part of the text, and only marks in parentheses are taken off.
    """
    marked = [MARKED.fullmatch(option) for option in options]
    letters = [next(filter(None, m.groups()[:3])) if m else "" for m in marked]
    if sorted(letters) == list("ABCD"):
        texts = {letter: m[4] for letter, m in zip(letters, marked, strict=True) if m}
        return [texts[letter] for letter in "ABCD"]
    return [m[4] if m and m[1] else option for option, m in zip(options, marked, strict=True)]


def logical_deduction(data: list[str], shots: int = 5, **_: Any) -> dict[str, Dataset]:
    """BIG-bench logical deduction: a paragraph of clues; one of three, five or seven statements is true."""
    items = []
    for n, row in enumerate(read(data[0], HERE, fields={"input": str, "target_scores": dict})):
        scores = list(row["target_scores"].values())
        item = choice_item(
            identity=f"{data[0]}/{n}",
            context=row["input"],
            question="Which of these statements is true?",
            choices=list(row["target_scores"]),
            gold=scores.index(1),
            cluster=cluster_of(row["input"]),
            shared=row["input"],
        )
        items.append(item)
    return splits(*reserve(items, shots))


def ceval_logic(data: list[str], **_: Any) -> dict[str, Dataset]:
    """C-Eval logic: the val split, which the study used; few-shot examples from the dev split."""
    fields = dict.fromkeys(("question", "A", "B", "C", "D", "answer"), str)
    return splits(*(read_items(name, HERE, partial(_ceval_item, name), fields=fields) for name in data))


def _ceval_item(name: str, row: dict[str, Any]) -> Item:
    return choice_item(
        identity=f"{name}/{row['id']}",
        question=row["question"],
        choices=[row[letter] for letter in "ABCD"],
        gold="ABCD".index(row["answer"]),
        rationale=row.get("explanation") or "",
        shared=f"{row['question']}。",
    )


def logiqa_as_lm_eval(data: list[str], **_: Any) -> dict[str, Dataset]:
    """LogiQA's test items. The key is the place of the right option: ``a`` to ``d``."""
    fields = {"passage": str, "question": str, "options": list, "label": str}
    return named_splits(
        test=[
            {
                "id": f"{data[0]}/{n}",
                "context": row["passage"],
                "question": row["question"],
                "options": options_in_order(row["options"]),
                "label": row["label"].lower(),
                "cluster": cluster_of(row["passage"]),
            }
            for n, row in enumerate(read(data[0], HERE, fields=fields))
        ]
    )
