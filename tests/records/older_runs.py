"""Write folders as lm-eval wrote them in 2023 and 2024, from a list of rows: what `lm_eval/__main__.py` did then."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

MODEL_ARGS = "pretrained=org/model,dtype=float32"
PREFIX = "pretrained__org__model,dtype__float32"
TIME = "2024-05-06T07-08-09.101112"


def rows(values: Sequence[float], metric: str = "acc") -> list[dict[str, Any]]:
    """Multiple-choice rows of release 0.4.0: nested lists, no filter, no digests."""
    return [
        {
            "doc_id": at,
            "doc": {"question": f"Frage {at}: größer?", "choices": ["ja", "nein"], "gold": 0},
            "target": 0,
            "arguments": [[f"Frage {at}: größer?", " ja"], [f"Frage {at}: größer?", " nein"]],
            "resps": [[[-1.0, False]], [[-2.0, False]]],
            "filtered_resps": [[-1.0, False], [-2.0, False]],
            metric: value,
        }
        for at, value in enumerate(values)
    ]


def results(task: str, metrics: Mapping[str, float], **more: Any) -> dict[str, Any]:
    """A results file of release 0.4.0: no model name, no number of samples."""
    return {
        "results": {task: {**metrics, "alias": task}},
        "configs": {task: {"task": task, "output_type": "multiple_choice", "metric_list": [
            {"metric": "acc", "aggregation": "mean", "higher_is_better": True},
            {"metric": "loss", "aggregation": "mean", "higher_is_better": False},
        ]}},
        "versions": {task: 1.0},
        "n-shot": {task: 0},
        "config": {"model": "hf", "model_args": MODEL_ARGS, "batch_size": "8", "limit": None},
        "git_hash": "4600d6b",
        **more,
    }  # fmt: skip


def write_flat(folder: Path, task: str, written: Mapping[str, Any], samples: Sequence[Any]) -> Path:
    """Write the folder of 0.4.0 to 0.4.2: a flat results.json, and a JSON array under a name that ends in .jsonl."""
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(written, indent=2, ensure_ascii=False), encoding="utf-8")
    text = json.dumps(samples, indent=2, ensure_ascii=False)
    (folder / f"{PREFIX}_{task}.jsonl").write_text(text, encoding="utf-8")
    return folder


def write_dated(folder: Path, task: str, written: Mapping[str, Any], samples: Sequence[Any], name: str) -> Path:
    """Write the folder between 0.4.2 and 0.4.3: a dated results file, and a JSON array called `name`."""
    folder.mkdir(parents=True)
    (folder / f"results_{TIME}.json").write_text(json.dumps(written, indent=2), encoding="utf-8")
    file = folder / name.format(task=task, time=TIME, prefix=PREFIX)
    file.write_text(json.dumps(samples, indent=2, ensure_ascii=False), encoding="utf-8")
    return folder
