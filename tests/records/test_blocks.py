"""A samples file is read in blocks: the result, and the message about a damaged line, do not depend on their size."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import RecordError
from harness.records import items
from harness.records.items import ItemTable, read_item_table
from harness.records.older_layouts import SamplesFile

SIZES = (1, 700, 5_000, 10**9)


def row(number: int, **fields: Any) -> dict[str, Any]:
    digest = hashlib.sha256(str(number).encode()).hexdigest()
    choices = {f"gen_args_{k}": {"arg_0": "prompt", "arg_1": f" {k}"} for k in range(2 + number % 3)}
    content = {"doc_id": number, "doc": {"text": "x" * number, "group": f"g{number // 4}"}, "arguments": choices}
    hashes = {name: digest for name in ("doc_hash", "prompt_hash", "target_hash")}  # noqa: C420 - a hash of each
    return {**content, "filter": "none", "metrics": ["acc"], **hashes, "acc": float(number % 3 == 0), **fields}


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in rows), encoding="utf-8")
    return path


def tables(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[ItemTable]:
    read = []
    for size in SIZES:
        monkeypatch.setattr(items, "BLOCK_BYTES", size)
        read.append(read_item_table(SamplesFile(path=path), cluster="group", guess=True))
    return read


def assert_equal(one: ItemTable, other: ItemTable) -> None:
    for name in ("doc_hash", "prompt_hash", "target_hash", "filter", "cluster"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.values.keys() == other.values.keys()
    for name, values in one.values.items():
        assert np.array_equal(values, other.values[name], equal_nan=True)
    assert (one.guess, one.faults) == (other.guess, other.faults)


@pytest.mark.parametrize("filters", [("none",), ("strict", "flexible")])
def test_the_size_of_a_block_changes_nothing(
    filters: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(n, filter=name, **({"acc_norm": 1.0} if n > 5 else {})) for n in range(30) for name in filters]
    *others, whole = tables(write(tmp_path / "samples.jsonl", rows), monkeypatch)
    assert len(whole) == 30 * len(filters)
    assert np.isnan(whole.values["acc_norm"]).sum() == 6 * len(filters)
    for table in others:
        assert_equal(table, whole)


def test_chance_comes_from_the_first_thousand_items(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(items, "_ITEMS_FOR_CHANCE", 7)
    for table in tables(write(tmp_path / "samples.jsonl", [row(n) for n in range(30)]), monkeypatch):
        assert table.guess == pytest.approx((3 / 2 + 2 / 3 + 2 / 4) / 7)


def test_a_value_that_is_no_number_is_a_fault_where_other_items_have_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(n, bleu=["a", "b"], acc="x" if n in (21, 25) else 1.0) for n in range(30)]
    for table in tables(write(tmp_path / "samples.jsonl", rows), monkeypatch):
        assert table.faults == {"acc": "line 22: acc is 'x', not a number"}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("damage", ["not JSON", "cut off"])
def test_the_message_names_the_line_of_the_file(
    size: int, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "samples.jsonl", [row(n) for n in range(30)])
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text[:-20] if damage == "cut off" else text.replace('"acc": 1.0}', '"acc": 1.0', 8), encoding="utf-8"
    )
    monkeypatch.setattr(items, "BLOCK_BYTES", size)
    with pytest.raises(RecordError, match=r"line 30 is cut off" if damage == "cut off" else r"line 1 is not JSON"):
        read_item_table(SamplesFile(path=path))


def test_an_empty_file_has_no_items(tmp_path: Path) -> None:
    (tmp_path / "samples.jsonl").touch()
    assert len(read_item_table(SamplesFile(path=tmp_path / "samples.jsonl"))) == 0
    with pytest.raises(RecordError, match="0 items, but its results file has 3"):
        read_item_table(SamplesFile(path=tmp_path / "samples.jsonl", rows=3))
