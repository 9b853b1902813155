"""Loaders of the code question tasks: CoSQA, and predicting the return value of a call."""

from __future__ import annotations

import ast
import itertools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data import read
from harness.items import Item, choice_item, cluster_of, splits

if TYPE_CHECKING:
    from datasets import Dataset

HERE = Path(__file__).parent
LONGEST_ANSWER = 500  # characters; longer answers do not fit into the generated tokens
FEWSHOT_IDS, TEST_IDS = range(1, 11), range(11, 511)  # the MBPP paper's split


def cosqa(data: list[str], **_: Any) -> dict[str, Dataset]:
    """CoSQA's dev items. Few-shot examples from train alternate right and wrong (its first 50 are mostly wrong)."""
    fields = {"idx": str, "doc": str, "code": str, "label": int}
    dev, train = ([_cosqa_item(row) for row in read(name, HERE, fields=fields)] for name in data)
    evaluated = {item["cluster"] for item in dev}  # some dev items have the same code as train items
    unseen = [item for item in train if item["cluster"] not in evaluated]
    right, wrong = ([item for item in unseen if item["gold"] == gold][:5] for gold in (0, 1))
    return splits(dev, [item for pair in zip(right, wrong, strict=True) for item in pair])


def _cosqa_item(row: dict[str, Any]) -> Item:
    item = choice_item(
        identity=row["idx"],
        question=f"Query: {row['doc']}\n\nCode:\n{row['code']}\n\nDoes the code answer the query?",
        choices=["yes", "no"],
        gold=1 - row["label"],
        cluster=cluster_of(row["code"]),
        shared=row["code"],
    )
    return item | {"query": row["doc"], "code": row["code"]}


def code_output(data: list[str], choices: bool = False, **_: Any) -> dict[str, Dataset]:
    """Predict the return value of a call: a program from MBPP and one of its asserted calls.

    Args:
        data: The data file.
        choices: Use the values of the program's three asserted calls as choices, and leave out items without three
            different values.
    """
    parts: dict[str, list[Item]] = {"test": [], "fewshot": []}
    for row in read(data[0], HERE, fields={"task_id": int, "code": str, "test_list": list}):
        part = "test" if row["task_id"] in TEST_IDS else "fewshot" if row["task_id"] in FEWSHOT_IDS else None
        item = _output_item(row, choices=choices) if part else None
        if part and item:
            parts[part].append(item)
    return splits(parts["test"], parts["fewshot"])


def _output_item(row: dict[str, Any], *, choices: bool) -> Item | None:
    calls = [call for call in map(asserted_call, row["test_list"]) if call]
    if not calls or row.get("test_setup_code"):
        return None  # the prompt does not show set-up code
    code, (call, value) = row["code"].replace("\r\n", "\n"), calls[0]
    identity = f"mbpp/{row['task_id']}"
    if len(value) > LONGEST_ANSWER:
        return None
    if not choices:
        return {"id": identity, "code": code, "call": call, "answer": value, "cluster": identity}
    values = [asserted for _, asserted in calls]
    parsed = [ast.literal_eval(asserted) for asserted in values]
    if len(values) != 3 or any(a == b for a, b in itertools.combinations(parsed, 2)):
        return None
    place = row["task_id"] % 3  # so that each position is right equally often
    ordered = [*values[1 : place + 1], value, *values[place + 1 :]]
    question = f"What does {call} return?"
    return choice_item(
        identity=identity, context=code, question=question, choices=ordered, gold=place, shared=code.strip()
    )


def asserted_call(test: str) -> tuple[str, str] | None:
    """Read ``assert f(x) == literal`` as ``("f(x)", "literal")``; None for any other form."""
    try:
        statement = ast.parse(test).body[0]
    except SyntaxError:
        return None
    match statement:
        case ast.Assert(test=ast.Compare(left=ast.Call(func=ast.Name()) as call, ops=[ast.Eq()], comparators=[value])):
            try:
                return ast.unparse(call), repr(ast.literal_eval(value))
            except ValueError:
                return None
    return None
