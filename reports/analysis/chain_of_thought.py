"""Chain of thought as a factor within runs: each task with it minus the same items without it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from harness.errors import InputError, did_you_mean
from harness.reports.analysis.contrasts import EXPLORATORY, PRIMARY, Cell, ContrastSpec, cell_label
from harness.reports.analysis.task_values import TaskValues, difference_span

COT = "cot"
_ENDING = re.compile(r"_cot(_gen)?$")
_WITHOUT = ("", "_paper", "_letter", "_cloze", "_gen")


@dataclass(frozen=True, kw_only=True, eq=False)
class CotPair:
    """One task with and without chain of thought.

    Attributes:
        raw: Values with minus values without, under the name of the task with it.
        centred: The same, each divided by 1 - its chance first.
    """

    raw: TaskValues
    centred: TaskValues


def cot_pairs(tasks: Sequence[TaskValues], named: Mapping[str, str] | None, notes: list[str]) -> list[CotPair]:
    """Return the pairs of tasks over the same items.

    Args:
        tasks: All tasks of the study.
        named: Task without by task with chain of thought; None to pair ``x_cot`` or ``x_cot_gen`` with ``x``,
            ``x_paper``, ``x_letter``, ``x_cloze`` or ``x_gen``, whichever comes first.
        notes: Remarks are added to it.

    Raises:
        InputError: A named task is not among the tasks.
    """
    by_name = {one.task: one for one in tasks}
    pairs = _by_name(by_name) if named is None else dict(named)
    found = []
    for cot, direct in pairs.items():
        for name in (cot, direct):
            if name not in by_name:
                raise InputError(
                    f"cot: no task {name} in all runs; give one of {', '.join(by_name)}.{did_you_mean(name, by_name)}"
                )
        pair = _difference(by_name[cot], by_name[direct])
        if pair is None:
            notes.append(
                f"{cot} and {direct} have fewer than two independent items in common; chain of thought is not compared."
            )
        else:
            found.append(pair)
    return found


def _by_name(tasks: Mapping[str, TaskValues]) -> dict[str, str]:
    pairs = {}
    for name in tasks:
        if _ENDING.search(name):
            stem = _ENDING.sub("", name)
            direct = next((stem + ending for ending in _WITHOUT if stem + ending in tasks), None)
            if direct is not None:
                pairs[name] = direct
    return pairs


def _difference(cot: TaskValues, direct: TaskValues) -> CotPair | None:
    at = {doc: position for position, doc in enumerate(direct.labels.docs)}
    common = [(i, at[doc]) for i, doc in enumerate(cot.labels.docs) if doc in at]
    if len(common) < 2:
        return None
    left, right = (np.array(side, dtype=np.intp) for side in zip(*common, strict=True))
    clusters = direct.clusters[right] if direct.clusters is not None else None
    if clusters is not None and len(set(clusters.tolist())) < 2:
        return None
    labels = replace(
        direct.labels,
        docs=[direct.labels.docs[i] for i in right],
        positions=[direct.labels.positions[i] for i in right],
        clusters=clusters,
    )
    raw = replace(
        cot,
        values=cot.values[:, left] - direct.values[:, right],
        clusters=clusters,
        labels=labels,
        chance=0.0,
        on_scale=cot.on_scale and direct.on_scale,
        span=difference_span(cot.span, direct.span),
    )
    centred = replace(
        raw,
        values=cot.centred[:, left] - direct.centred[:, right],
        span=difference_span(cot.centred_span, direct.centred_span),
    )
    return CotPair(raw=raw, centred=centred)


def cot_contrasts(
    specs: Sequence[ContrastSpec], cells: Sequence[Cell], factors: Mapping[str, Sequence[str]]
) -> list[ContrastSpec]:
    """Return the effect of chain of thought over all cells, in each cell, and its interaction with the main contrasts.

    They apply to the differences of a `CotPair`.
    """
    distinct = list(dict.fromkeys(cells))
    whole = ContrastSpec(
        name=COT,
        kind=EXPLORATORY,
        coefficients={cell: 1.0 / len(distinct) for cell in distinct},
        meaning="with chain of thought minus without, mean of all arms",
    )
    by_arm = [
        ContrastSpec(
            name=f"{COT} {cell_label(cell, factors)}",
            kind=EXPLORATORY,
            coefficients={cell: 1.0},
            meaning=f"with chain of thought minus without, in {cell_label(cell, factors)}",
        )
        for cell in distinct
    ]
    crossed = [
        replace(
            one,
            name=f"{COT} x {one.name}",
            kind=EXPLORATORY,
            meaning=f"effect of {COT} x ({one.meaning})",
            factor=f"{COT} x {one.factor}" if one.factor else "",
        )
        for one in specs
        if one.kind == PRIMARY
    ]
    return [whole, *by_arm, *crossed]
