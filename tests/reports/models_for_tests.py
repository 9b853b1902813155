"""Models with given values per item, in memory: what `harness.records.load` would return, without files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.records import ItemTable, ModelRecords, TaskRun
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm, Comparison

Floats = npt.NDArray[np.float64]


def link(digest: str, parent: str | None = None, *, tokens: int = 1000, published: bool = False) -> dict[str, Any]:
    """One link of a lineage: a stage trained here, or a published model."""
    manifest = None
    if not published:
        above = None if parent is None else {"name": parent, "source": parent, "digest": parent}
        manifest = {"name": digest, "stage": "sft", "parent": above, "tokens": tokens, "finished": True, "step": 1}
    return {"name": digest, "digest": digest, "status": "root" if published else "verified", "manifest": manifest}


def tuned(name: str, parent: str, *, tokens: int = 1000) -> tuple[dict[str, Any], ...]:
    """The lineage of a model tuned from one pre-training run."""
    return link(name, parent, tokens=tokens), link(parent)


def model(
    name: str,
    values: Mapping[str, Floats],
    *,
    lineage: Sequence[Mapping[str, Any]] = (),
    clusters: Mapping[str, Sequence[str]] | None = None,
    **fields: Any,
) -> ModelRecords:
    """A model; a task name may hold its domain and its item set, as ``logic/x_letter@x``.

    Args:
        name: Its name.
        values: Values of the items by task; NaN for a failed request.
        lineage: Its checkpoint and ancestors.
        clusters: Label of each item by task.
        fields: Other fields of every `TaskRun`, such as ``engine``; a mapping gives a value by task.
    """
    tasks = {}
    for word, column in values.items():
        domain, _, rest = word.rpartition("/")
        task, _, items_from = rest.partition("@")
        own = {key: value[word] if isinstance(value, dict) else value for key, value in fields.items()}
        labels = None if clusters is None or word not in clusters else np.array(clusters[word], dtype=np.str_)
        tasks[task] = _run(task, domain or "logic", items_from or task, np.asarray(column, float), labels, own)
    return ModelRecords(
        name=name,
        recorded_name=name,
        source=name,
        digest=str(lineage[0]["digest"]) if lineage else name,
        identity=(name,),
        folders=(Path(name),),
        tasks=tasks,
        unscored={},
        lineage=tuple(lineage),
    )


def _run(
    task: str, domain: str, items_from: str, values: Floats, labels: npt.NDArray[np.str_] | None, fields: dict[str, Any]
) -> TaskRun:
    hashes = np.array([f"{items_from}{number}".encode() for number in range(values.size)], dtype="S64")
    items = ItemTable(
        doc_hash=hashes,
        prompt_hash=np.array([f"{task}{number}".encode() for number in range(values.size)], dtype="S64"),
        target_hash=hashes,
        filter="none",
        cluster=labels,
        values={"acc": values},
        guess=float("nan"),
    )
    answered = values[np.isfinite(values)]
    plain: dict[str, Any] = {
        "task": task, "time": "2024", "domain": domain, "chance": 0.0, "metric": "acc,none", "higher_is_better": True,
        "value": float(answered.mean()), "averaged": True, "metrics": {"acc,none": float(answered.mean())},
        "stderrs": {"acc,none": None}, "items_from": items_from, "cluster": "", "items_requested": values.size,
        "failed": 0, "failures": {}, "version": "1", "num_fewshot": 0, "prompting": "plain", "engine": "hf",
        "dtype": "float32", "max_length": "", "truncated": 0, "results": Path(task), "samples": Path(task),
        "rows": values.size, "guessing": False, "items": items,
    }  # fmt: skip
    return TaskRun(**(plain | fields))


def answers(rng: np.random.Generator, logits: npt.ArrayLike) -> Floats:
    """Right or wrong answers with these log-odds."""
    array = np.asarray(logits, dtype=np.float64)
    return np.asarray(rng.random(array.shape) < 1.0 / (1.0 + np.exp(-array)), dtype=np.float64)


def versus(first: Sequence[ModelRecords], second: Sequence[ModelRecords], **options: Any) -> Comparison:
    """Compare two arms, A and B."""
    return compare([Arm(name="A", models=tuple(first)), Arm(name="B", models=tuple(second))], **options)
