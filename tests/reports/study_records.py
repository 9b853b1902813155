"""Write run folders of a factorial study as `harness eval` writes them, from arrays of item values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import yaml

from harness.records.run_files import RunFiles
from harness.records.run_folder import RunRecord, TaskRecord
from harness.stats.clustered import Clusters

TIME = "2025-01-01T00-00-00.000000"


@dataclass(frozen=True, kw_only=True)
class RunTask:
    """One task of one run.

    Attributes:
        values: One per item.
        clusters: Label of each item; None without clusters.
        chance: Expected value of guessing.
        domain: Its domain.
        items_of: Name of the task whose documents it shares; empty for its own.
        likelihoods: Log-likelihoods of two choices by item, of which the first is right; None without.
    """

    values: npt.NDArray[np.float64]
    clusters: Clusters | None = None
    chance: float = 0.25
    domain: str = "logic"
    items_of: str = ""
    likelihoods: Sequence[tuple[float, float]] | None = None


def write_study_run(
    folder: Path, name: str, tasks: Mapping[str, RunTask], lineage: Sequence[Mapping[str, Any]] = ()
) -> Path:
    """Write the run of a model, and return its folder."""
    samples = {task: [_sample(task, one, at) for at in range(len(list(_values(one))))] for task, one in tasks.items()}
    means = {task: sum(_values(one)) / len(_values(one)) for task, one in tasks.items()}
    results = {
        "results": {t: {"alias": t, "acc,none": means[t], "sample_len": len(samples[t])} for t in tasks},
        "configs": {t: {"metadata": _metadata(one)} for t, one in tasks.items()},
        "versions": dict.fromkeys(tasks, 1),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {t: {"acc": True} for t in tasks},
        "config": {"model": "hf", "model_args": {"pretrained": name}},
        "model_name": name,
    }
    digest = f"sha256:{hashlib.sha256(name.encode()).hexdigest()}"
    own = lineage[0]["digest"] if lineage else digest
    record = RunRecord(
        time=TIME,
        command="harness eval",
        harness_version="0.1.0",
        model={"name": name, "source": name, "kind": "hf", "digest": own, "lineage": list(lineage)},
        fingerprint={"engine": "hf", "dtype": "float32"},
        engine=None,
        from_journal=0,
        restarts=0,
        prompt={},
        task_arguments={"tasks": list(tasks)},
        tasks={t: _task_record(one, means[t]) for t, one in tasks.items()},
        aggregate={},
        allowed_failures=0,
        complete=True,
        versions={},
    )
    with RunFiles(folder, name, own) as files:
        for task, rows in samples.items():
            files.add_samples(task, rows)
        return files.finish(record, results).parent


def _values(task: RunTask) -> list[float]:
    return [float(value) for value in task.values]


def _metadata(task: RunTask) -> dict[str, Any]:
    own = {"version": 1, "domain": task.domain, "chance": task.chance}
    return own if task.clusters is None else own | {"cluster": "passage"}


def _task_record(task: RunTask, mean: float) -> TaskRecord:
    items = len(_values(task))
    return TaskRecord(
        domain=task.domain, chance=task.chance, metric="acc,none", value=mean, stderr=0.01, interval=(0.0, 1.0),
        interval_method="wilson", items=items, items_scored=items, asked=items, answered=items, failed=0, cut=0,
        empty=0, failures={},
    )  # fmt: skip


def _sample(task: str, one: RunTask, at: int) -> dict[str, Any]:
    doc: dict[str, Any] = {"question": f"{one.items_of or task} {at}"}
    if one.clusters is not None:
        doc["passage"] = str(one.clusters[at])
    prompt = hashlib.sha256(f"{task} {at}".encode()).hexdigest()
    document = hashlib.sha256(doc["question"].encode()).hexdigest()
    pairs = one.likelihoods[at] if one.likelihoods is not None else (-1.0, -2.0)
    return {
        "doc_id": at,
        "doc": doc,
        "target": "0",
        "arguments": [(f"question {at}", " yes"), (f"question {at}", " no!!")],
        "resps": [[(pair, False)] for pair in pairs],
        "filtered_resps": [(pair, False) for pair in pairs],
        "filter": "none",
        "metrics": ["acc"],
        "doc_hash": document,
        "prompt_hash": prompt,
        "target_hash": document,
        "acc": _values(one)[at],
    }


def write_design(
    path: Path, factors: Mapping[str, Sequence[object]], runs: Sequence[Mapping[str, Any]], **more: Any
) -> Path:
    """Write a design file, and return it."""
    content = {"factors": {name: list(levels) for name, levels in factors.items()}, "runs": list(runs), **more}
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
