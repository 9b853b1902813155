"""Runs without the items that occur in training data: what `harness overlap` wrote is joined with records.

An item is identified by task and ``doc_hash``, as in samples files. The values of what is left are means over fewer
items, so everything that is computed from items, tests and intervals too, works on the models that `without` returns.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from harness.errors import MALFORMED, InputError
from harness.records import ItemTable, ModelRecords, TaskRun


@dataclass(frozen=True, kw_only=True)
class OverlappingItems:
    """The items that a search found.

    Attributes:
        source: Name of the file, or of the files.
        hashes: ``doc_hash`` of the overlapping items, by task; empty for a task that was searched without a finding.
    """

    source: str
    hashes: Mapping[str, frozenset[bytes]]


def read_overlaps(paths: Sequence[Path]) -> OverlappingItems | None:
    """Return the items that overlap according to any of the files; None without files.

    A task counts as searched if each file has it: in a study, the files are those of the arms.

    Raises:
        InputError: a file is missing or something else.
    """
    if not paths:
        return None
    files = [_read(path) for path in paths]
    searched = frozenset.intersection(*(frozenset(one) for one in files))
    return OverlappingItems(
        source=", ".join(path.name for path in paths),
        hashes={task: frozenset().union(*(one[task] for one in files)) for task in sorted(searched)},
    )


def _read(path: Path) -> dict[str, frozenset[bytes]]:
    """Read the JSON file that `harness overlap` wrote.

    Raises:
        InputError: it is missing or something else.
    """
    try:
        tables = json.loads(path.read_text(encoding="utf-8"))["tables"]
        searched = {str(row["task"]) for row in tables["overlap"]}
        pairs = [(str(row["task"]), str(row["doc_hash"]).encode("ascii")) for row in tables["items"]]
    except (OSError, *MALFORMED) as error:
        raise InputError(
            f"--overlap {path}: is no result of a search ({type(error).__name__}); give a file that `harness overlap "
            "... --output_path FILE.json` wrote."
        ) from None
    return {task: frozenset(digest for name, digest in pairs if name == task) for task in searched}


def without(models: Sequence[ModelRecords], overlap: OverlappingItems) -> tuple[list[ModelRecords], list[str]]:
    """Return the models on the items that do not overlap, and notes on tasks for which there are no such values.

    Left out are tasks that were not searched, that have no item left, or whose value is no mean over items.
    """
    names = sorted({name for model in models for name in model.tasks})
    reasons = {name: _reason(name, models, overlap) for name in names}
    clean = [
        replace(model, tasks={
            name: _cleaned(run, overlap.hashes[name]) for name, run in model.tasks.items() if not reasons[name]
        })
        for model in models
    ]  # fmt: skip
    notes = [f"{name}: no value without overlapping items; {reason}." for name, reason in reasons.items() if reason]
    return clean, notes


def _reason(name: str, models: Sequence[ModelRecords], overlap: OverlappingItems) -> str:
    """Return why a task has no value without its overlapping items; empty if it has one."""
    if name not in overlap.hashes:
        return f"it was not searched for {overlap.source}"
    runs = [model.tasks[name] for model in models if name in model.tasks]
    if not all(run.is_mean for run in runs):
        return "its value is no mean over items"
    if any(not np.isfinite(_cleaned(run, overlap.hashes[name]).headline_values).any() for run in runs):
        return "all its items overlap"
    return ""


def _cleaned(run: TaskRun, hashes: frozenset[bytes]) -> TaskRun:
    kept = ~np.isin(run.items.doc_hash, np.array(sorted(hashes), dtype=run.items.doc_hash.dtype))
    run = replace(run, items=_rows(run.items, kept))
    answered = run.headline_values[np.isfinite(run.headline_values)]
    return replace(run, value=float(answered.mean()) if answered.size else None)


def _rows(items: ItemTable, kept: np.typing.NDArray[np.bool_]) -> ItemTable:
    return replace(
        items,
        doc_hash=items.doc_hash[kept],
        prompt_hash=items.prompt_hash[kept],
        target_hash=items.target_hash[kept],
        filter=items.filter if isinstance(items.filter, str) else items.filter[kept],
        cluster=None if items.cluster is None else items.cluster[kept],
        values={name: values[kept] for name, values in items.values.items()},
    )
