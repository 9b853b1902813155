"""Loaders of the analogy tasks: word analogies (BATS, Google, SAT, U2, U4) and E-KAR."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import check_fields, locate, read_items, read_json
from harness.items import Item, choice_item, splits

if TYPE_CHECKING:
    from datasets import Dataset

HERE = Path(__file__).parent
SHOTS = 5


def word_analogy(data: list[str], subset: str, **_: Any) -> dict[str, Dataset]:
    """Word analogies: find the pair of words with the same relation as a given pair; few-shot from validation."""
    path = locate(data[0], HERE)
    validation, test = read_json(data[0], HERE)[subset]
    return splits(
        [_pair_item(path, f"{subset}/test/{n}", row) for n, row in enumerate(test)],
        [_pair_item(path, f"{subset}/validation/{n}", row) for n, row in enumerate(validation[:SHOTS])],
    )


def _pair_item(path: Path, identity: str, row: dict[str, Any]) -> Item:
    check_fields(path, identity, row, {"stem": list, "choice": list, "answer": int, "prefix": str})
    first, second = row["stem"]
    item = choice_item(
        identity=identity,
        question=f'Which two words are related as "{first}" is to "{second}"?',
        choices=[" is to ".join(pair) for pair in row["choice"]],
        gold=row["answer"],
        cluster=row["prefix"],  # the relation, or the source paper of the question
    )
    pairs = [":".join(pair) for pair in row["choice"]]
    return item | {"stem": f"{first} is to {second} as", "query": f"{first}:{second}", "pairs": pairs}


def ekar(data: list[str], language: str, **_: Any) -> dict[str, Dataset]:
    """E-KAR: the test split; few-shot examples from the validation split."""
    fields = {"id": str, "question": str, "choices": dict, "answerKey": str, "explanation": list}
    test, validation = (read_items(name, HERE, partial(_ekar_item, language=language), fields=fields) for name in data)
    return splits(test, validation[:SHOTS])


QUESTIONS = {
    "en": 'Which group of words is related as "{}" is?',
    "zh": "下列哪一组词语之间的关系与“{}”最相似？",
}


def _ekar_item(row: dict[str, Any], language: str) -> Item:
    item = choice_item(
        identity=row["id"],
        question=QUESTIONS[language].format(row["question"]),
        choices=row["choices"]["text"],
        gold=row["choices"]["label"].index(row["answerKey"]),
        rationale=row["explanation"][0],
    )
    return item | {"query": row["question"], "explanations": row["explanation"][1:]}
