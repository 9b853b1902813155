"""Write runs in lm-eval's layout with given answers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

TIME = "2024-01-01T00-00-00.000000"


def write_run(
    folder: Path,
    model: str,
    right: Collection[int],
    *,
    task: str = "ceval_logic_paper",
    items: int = 22,
    extra: Sequence[dict[str, Any]] = (),
) -> Path:
    """Write a run of one task, and return the folder of the model.

    Args:
        folder: Parent of the folder of the model.
        model: Name of the model.
        right: Numbers of the items that the model answers right.
        task: Name of the task; its domain is logic, its chance 0.25.
        items: Number of items.
        extra: For each item, fields that replace those of its line.
    """
    place = folder / model
    place.mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(items):
        digest = hashlib.sha256(f"{task} {number}".encode()).hexdigest()
        row = {
            "doc_id": number,
            "doc": {"question": f"number {number}"},
            "target": "0",
            "arguments": {"gen_args_0": {"arg_0": f"number {number}", "arg_1": " yes"}},
            "resps": [["yes"]],
            "filtered_resps": ["yes"],
            "filter": "none",
            "metrics": ["acc"],
            "doc_hash": digest,
            "prompt_hash": digest,
            "target_hash": digest,
            "acc": float(number in right),
        }
        rows.append({**row, **(extra[number] if extra else {})})
    lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
    (place / f"samples_{task}_{TIME}.jsonl").write_text("".join(lines), encoding="utf-8")
    results = {
        "results": {task: {"alias": task, "acc,none": sum(row["acc"] for row in rows) / items, "sample_len": items}},
        "configs": {task: {"metadata": {"version": 1, "domain": "logic", "chance": 0.25}}},
        "versions": {task: 1},
        "n-shot": {task: 0},
        "higher_is_better": {task: {"acc": True}},
        "config": {"model": "hf", "model_args": {"pretrained": model}},
        "model_name": model,
    }
    (place / f"results_{TIME}.json").write_text(json.dumps(results), encoding="utf-8")
    return place


def write_run_of(folder: Path, model: str, rights: Mapping[str, Collection[int]], *, items: int = 22) -> Path:
    """Write a run of several tasks, with the right items of each, and return the folder of the model."""
    whole: dict[str, Any] = {}
    place = folder / model
    for task, right in rights.items():  # each call writes a results file of this one task
        write_run(folder, model, right, task=task, items=items)
        written = json.loads((place / f"results_{TIME}.json").read_text(encoding="utf-8"))
        for key, value in written.items():
            whole[key] = {**whole.get(key, {}), **value} if isinstance(value, dict) else value
    (place / f"results_{TIME}.json").write_text(json.dumps(whole), encoding="utf-8")
    return place


def rows_in(node: Any) -> list[dict[str, Any]]:
    """Return the rows of data anywhere in a Vega-Lite specification, or in its file."""
    if isinstance(node, Path):
        return rows_in(json.loads(node.read_text(encoding="utf-8")))
    if isinstance(node, dict):
        own = node["values"] if isinstance(node.get("values"), list) else []
        return [row for row in own if isinstance(row, dict)] + [r for part in node.values() for r in rows_in(part)]
    return [row for part in node for row in rows_in(part)] if isinstance(node, list) else []
