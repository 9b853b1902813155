"""Items read from a table are the items that a Dataset would give, and no reader can change them for the next one."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from harness.suite.catalogue import Catalogue
from harness.suite.item_table import ItemTable, item_table

KEPT: dict[str, list[dict[str, Any]]] = {
    "texts": [{"a": "x", "b": ""}, {"a": "y\u2028", "b": "z"}],
    "a missing value": [{"a": None, "b": 1}, {"a": "y", "b": None}],
    "values that are all missing": [{"a": None}, {"a": None}],
    "numbers": [{"a": 1, "b": 0.5, "c": True}, {"a": -(2**63), "b": float("inf"), "c": False}],
    "lists": [{"a": ["x", "y"], "b": [1], "c": []}, {"a": [], "b": [2, None], "c": []}],
    "tuples": [{"a": ("x", "y")}, {"a": ("z",)}],
    "fields in another order": [{"a": "x", "b": 1}, {"b": 2, "a": "y"}],
}
CHANGED: dict[str, list[dict[str, Any]]] = {
    "whole numbers beside others": [{"a": 1}, {"a": 2.5}],
    "whole numbers beside others in lists": [{"a": [1, 2.5]}],
    "booleans beside numbers": [{"a": True}, {"a": 2}],
    "text beside numbers": [{"a": "x"}, {"a": 2}],
    "a large number": [{"a": 2**63}],
    "half a surrogate pair": [{"a": "\ud800"}],
    "half a surrogate pair in a list": [{"a": ["\ud800"]}],
    "a field that one item lacks": [{"a": "x", "b": 1}, {"a": "y"}],
    "a field that the first item lacks": [{"a": "x"}, {"a": "y", "b": 1}],
    "dictionaries": [{"a": {"x": 1}}, {"a": {"y": 2}}],
    "lists in lists": [{"a": [["x"], []]}],
    "lists beside text": [{"a": ["x"]}, {"a": "x"}],
}


def outcome(make: Any, rows: list[dict[str, Any]]) -> str:
    """The items with their types, or the error."""
    try:
        return repr([list(item.items()) for item in make(rows)])
    except Exception as error:
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("name", KEPT)
def test_a_table_gives_the_items_of_a_dataset(name: str) -> None:
    assert isinstance(item_table(KEPT[name]), ItemTable)
    assert outcome(item_table, KEPT[name]) == outcome(Dataset.from_list, KEPT[name])


@pytest.mark.parametrize("name", CHANGED)
def test_items_that_a_dataset_changes_are_kept_in_a_dataset(name: str) -> None:
    assert outcome(item_table, CHANGED[name]) == outcome(Dataset.from_list, CHANGED[name])


def test_a_table_reads_as_a_dataset_does() -> None:
    rows = [{"id": number, "choices": ["x", "y"]} for number in range(5)]
    table, dataset = item_table(rows), Dataset.from_list(rows)
    assert len(table) == 5
    assert [table[0], table[-1]] == [dataset[0], dataset[-1]]
    assert list(table.features) == list(dataset.features)
    assert table[1:3] == dataset[1:3]
    assert list(table["id"]) == list(dataset["id"])
    assert list(table.select([3, 1])) == list(dataset.select([3, 1]))
    assert list(table.map(lambda item: {"n": item["id"] + 1})) == list(dataset.map(lambda i: {"n": i["id"] + 1}))
    for read in (table, dataset):
        with pytest.raises(IndexError):
            read[5]
        with pytest.raises(AttributeError):
            read.no_such_name  # noqa: B018
    empty = item_table([], ["id", "choices"])
    assert (list(empty), list(empty.features)) == ([], ["id", "choices"])


def test_a_reader_cannot_change_an_item_for_the_next_one() -> None:
    table = item_table([{"choices": ["x", "y"]}])
    table[0]["choices"].append("z")
    next(iter(table))["more"] = 1
    assert table[0] == {"choices": ["x", "y"]}


def test_a_task_processes_its_items_when_it_is_built_and_then_no_more(tmp_path: Path) -> None:
    rows = [{"q": f"{n}?", "options": ["x", "y"], "right": n % 2, "more": {"deep": n}} for n in range(2500)]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (tmp_path / "own.py").write_text(
        "calls = []\n\ndef process(docs):\n    calls.append(len(docs))\n"
        "    return docs.map(lambda doc: {'shown': doc['q'].upper()})\n",
        encoding="utf-8",
    )
    (tmp_path / "made.yaml").write_text(
        f"task: made\ndataset_path: json\ndataset_kwargs: {{data_files: {{test: {tmp_path}/items.jsonl}}}}\n"
        "output_type: multiple_choice\ntest_split: test\nprocess_docs: !function own.process\n"
        "doc_to_text: shown\ndoc_to_choice: options\ndoc_to_target: right\n",
        encoding="utf-8",
    )
    task = Catalogue([tmp_path]).load(["made"]).tasks["made"]
    calls = task.config.process_docs.__globals__["calls"]
    built = len(calls)
    items = list(task.eval_docs)
    assert items == [{**row, "shown": f"{n}?"} for n, row in enumerate(rows)]
    assert [task.eval_docs[n] for n in (0, 999, 1000, 2499)] == [items[n] for n in (0, 999, 1000, 2499)]
    assert [number for number, _ in task.doc_iterator(samples=[7, 2001])] == [0, 1]
    assert Counter(calls) == {2500: built}
    assert list(task.eval_docs.features) == list(items[0])
