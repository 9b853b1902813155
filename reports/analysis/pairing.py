"""Put the same items of several runs side by side, and check that the runs can be compared.

Two runs of one task are compared item by item, because a paired difference has far less noise than the difference of
two means. An item is identified by ``doc_hash``, lm-eval's digest of its document.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.records import TaskRun

FloatArray = npt.NDArray[np.float64]
Positions = npt.NDArray[np.intp]


@dataclass(frozen=True, kw_only=True, eq=False)
class Paired:
    """Items that every run answered.

    Attributes:
        values: Headline metric, shape (runs, items).
        clusters: Label of each item; None when the task names no clusters.
        doc_hashes: Digest of each item.
        positions: Position of each item among the items of the first run.
        n_rows: Number of items of the first run, answered or not.
        left_out: By run, items that it answered and that some other run did not.
        other_prompts: Items whose prompt differs between runs.
    """

    values: FloatArray
    clusters: npt.NDArray[np.str_] | None
    doc_hashes: tuple[bytes, ...]
    positions: Positions
    n_rows: int
    left_out: tuple[int, ...]
    other_prompts: int


def pair(runs: Sequence[TaskRun]) -> Paired:
    """Put the items of the runs side by side, in the order of the first run."""
    columns = [_HeadlineColumn(run) for run in runs]
    first = columns[0]
    positions = _common_positions(columns)
    # One row per run, one column per common item; NaN marks an item whose request failed:
    #     run 0   1.0  0.0  1.0  0.0
    #     run 1   1.0  NaN  0.0  0.0   -> the second item is dropped from both rows
    # It is dropped, not scored 0: a failed request says nothing about the model.
    values = np.stack([column.values[at] for column, at in zip(columns, positions, strict=True)])
    answered = np.isfinite(values).all(axis=0)
    positions = [at[answered] for at in positions]
    prompts = np.stack([column.prompts[at] for column, at in zip(columns, positions, strict=True)])
    return Paired(
        values=values[:, answered],
        clusters=None if first.clusters is None else first.clusters[positions[0]],
        doc_hashes=tuple(first.docs[positions[0]].tolist()),
        positions=positions[0],
        n_rows=int(first.docs.size),
        left_out=tuple(int(np.isfinite(column.values).sum() - answered.sum()) for column in columns),
        other_prompts=int((prompts != prompts[0]).any(axis=0).sum()),
    )


class _HeadlineColumn:
    """The rows of a run's items that belong to its headline metric, as parallel arrays.

    A samples file has one row per item and filter. For ``exact_match,strict`` only the second row of each item counts::

        doc a1..  filter none    exact_match 0.0
        doc a1..  filter strict  exact_match 1.0
    """

    def __init__(self, run: TaskRun) -> None:
        rows = run.items.rows(run.metric.partition(",")[2])
        self.docs, self.prompts = run.items.doc_hash[rows], run.items.prompt_hash[rows]
        self.clusters = None if run.items.cluster is None else run.items.cluster[rows]
        self.values: FloatArray = run.headline_values

    def position_by_item(self) -> dict[tuple[bytes, int], int]:
        """Return the position of each item, keyed by its digest and by how often that digest came before.

        A benchmark may hold a document twice. With the digest alone as key, the second copy would replace the first and
        an item would be lost; with the count, the first copy is paired with the first, the second with the second::

            docs  a1  b2  a1   ->   (a1, 0): 0   (b2, 0): 1   (a1, 1): 2
        """
        occurrences: Counter[bytes] = Counter()
        positions = {}
        for position, digest in enumerate(self.docs.tolist()):
            positions[digest, occurrences[digest]] = position
            occurrences[digest] += 1
        return positions


def _common_positions(columns: Sequence[_HeadlineColumn]) -> list[Positions]:
    """Return for each run the positions of the items that all runs hold, in the order of the first run.

    The runs may list their items in other orders, or hold only some of them, as with ``--limit``::

        run 0   docs  a1  b2  c3      positions  [1, 2]    (b2, c3)
        run 1   docs  c3  b2          positions  [1, 0]    (b2, c3)
    """
    first = columns[0]
    # The usual case: all runs hold the same items in the same order. Comparing arrays is then ten times faster than
    # the dictionaries below, which a leaderboard of 50 models would build for every task.
    if all(np.array_equal(first.docs, column.docs) for column in columns[1:]):
        return [np.arange(first.docs.size) for _ in columns]
    # Positions, not values, are returned: values, prompts and clusters are all picked with them, so they cannot get out
    # of step. `common` follows the first run, so that a report does not depend on the order of a set.
    by_item = [column.position_by_item() for column in columns]
    common = [item for item in by_item[0] if all(item in other for other in by_item[1:])]
    return [np.array([positions[item] for item in common], dtype=np.intp) for positions in by_item]


def mismatches(runs: Mapping[str, TaskRun], paired: Paired | None) -> list[str]:
    """Return why these runs of one task cannot be compared: their questions differ.

    Args:
        runs: By name of the model.
        paired: Their common items; None when the metric has no item values.
    """
    settings = {
        "metric": {name: run.metric for name, run in runs.items()},
        "version": {name: run.version for name, run in runs.items()},
        "number of few-shot examples": {name: str(run.num_fewshot) for name, run in runs.items()},
        "prompting": {name: run.prompting for name, run in runs.items()},
    }
    # Equal settings do not make equal prompts: lm-eval draws few-shot examples with a seed, and a task file can change
    # without a new version. So the digests of the prompts are compared too.
    reasons = [f"{setting} differs ({_grouped(values)})" for setting, values in settings.items() if _differ(values)]
    if paired is not None and paired.other_prompts:
        reasons.append(f"{paired.other_prompts} of {paired.values.shape[1]} items have other prompts")
    return reasons


def _differ(values: Mapping[str, str]) -> bool:
    return len(set(values.values())) > 1


def _grouped(values: Mapping[str, str]) -> str:
    """Join the models of each value: ``5: text, code; 0: mixed``."""
    groups: dict[str, list[str]] = {}
    for name, value in values.items():
        groups.setdefault(value, []).append(name)
    parts = (
        f"{value}: {', '.join(names) if len(names) < 4 else f'{names[0]} and {len(names) - 1} more'}"
        for value, names in groups.items()
    )
    return "; ".join(parts)
