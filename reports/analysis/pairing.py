"""The same items from several runs of one task, side by side; and whether they were asked alike.

Items are paired by lm-eval's digest of the document; of documents that occur twice, the first is paired with the first.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.records import TaskRun

CONTROLS = ("general", "other")  # domains shown, but no part of the overall number where a reasoning domain is there

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Paired:
    """Items that every run answered.

    Attributes:
        values: Headline metric, shape (runs, items).
        clusters: Label of each item; None when the task names none.
        doc_hashes: Digest of each item.
        left_out: Items of each run that not all runs answered.
        other_prompts: Items whose prompt differs between the runs.
    """

    values: FloatArray
    clusters: npt.NDArray[np.str_] | None
    doc_hashes: tuple[bytes, ...]
    left_out: tuple[int, ...]
    other_prompts: int


def pair(runs: Sequence[TaskRun]) -> Paired:
    """Put the runs' items side by side, in the order of the first run."""
    columns = [_Column(run) for run in runs]
    first = columns[0]
    if all(np.array_equal(first.docs, column.docs) for column in columns[1:]):
        positions = [np.arange(first.docs.size) for _ in columns]
    else:
        places = [column.places() for column in columns]
        common = [key for key in places[0] if all(key in other for other in places[1:])]
        positions = [np.array([place[key] for key in common], dtype=np.intp) for place in places]
    values = np.stack([column.values[at] for column, at in zip(columns, positions, strict=True)])
    known = np.isfinite(values).all(axis=0)
    positions = [at[known] for at in positions]
    prompts = np.stack([column.prompts[at] for column, at in zip(columns, positions, strict=True)])
    return Paired(
        values=values[:, known],
        clusters=None if first.clusters is None else first.clusters[positions[0]],
        doc_hashes=tuple(first.docs[positions[0]].tolist()),
        left_out=tuple(int(np.isfinite(column.values).sum() - known.sum()) for column in columns),
        other_prompts=int((prompts != prompts[0]).any(axis=0).sum()),
    )


class _Column:
    """The rows of a run's headline metric."""

    def __init__(self, run: TaskRun) -> None:
        name, _, filter_name = run.metric.partition(",")
        rows = run.items.rows(filter_name)
        self.docs, self.prompts = run.items.doc_hash[rows], run.items.prompt_hash[rows]
        self.clusters = None if run.items.cluster is None else run.items.cluster[rows]
        values = run.items.values.get(name)
        self.values: FloatArray = np.full(rows.size, math.nan) if values is None else values[rows]

    def places(self) -> dict[tuple[bytes, int], int]:
        seen: Counter[bytes] = Counter()
        found = {}
        for position, digest in enumerate(self.docs.tolist()):
            found[digest, seen[digest]] = position
            seen[digest] += 1
        return found


def has_item_values(run: TaskRun) -> bool:
    """Whether the headline is a mean over items; corpus scores such as pooled BLEU are not, and cannot be paired."""
    values = _Column(run).values
    known = values[np.isfinite(values)]
    if run.value is None or not known.size:
        return False
    return math.isclose(float(known.mean()), run.value, rel_tol=1e-9, abs_tol=1e-12)


def mismatches(runs: Mapping[str, TaskRun], paired: Paired | None) -> list[str]:
    """Say what forbids comparing these runs of one task: not the same question was asked."""
    told = []
    for what, values in (
        ("metric", {name: run.metric for name, run in runs.items()}),
        ("version", {name: run.version for name, run in runs.items()}),
        ("number of few-shot examples", {name: str(run.num_fewshot) for name, run in runs.items()}),
        ("prompting", {name: run.prompting for name, run in runs.items()}),
    ):
        if len(set(values.values())) > 1:
            told.append(f"{what} differs ({_grouped(values)})")
    if paired is not None and paired.other_prompts:
        told.append(f"{paired.other_prompts} of {paired.values.shape[1]} items have other prompts")
    return told


def caveats(runs: Mapping[str, TaskRun]) -> list[str]:
    """Say what does not forbid it but may move a score: another engine or dtype."""
    told = []
    for what, values in (
        ("engine", {name: run.engine for name, run in runs.items()}),
        ("dtype", {name: run.dtype or "not recorded" for name, run in runs.items()}),
    ):
        if len(set(values.values())) > 1:
            told.append(f"{what} differs: {_grouped(values)}")
    return told


def _grouped(values: Mapping[str, str]) -> str:
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(value, []).append(name)
    parts = (
        f"{value}: {', '.join(names) if len(names) < 4 else f'{names[0]} and {len(names) - 1} more'}"
        for value, names in groups.items()
    )
    return "; ".join(parts)
