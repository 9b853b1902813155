"""The items on which two models differ, with prompts and answers, for a reader who wants to know why.

A page is one file, so it holds a selection: the first items of each task and direction, in the order of the data.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.records import ModelRecords, Sample, read_samples
from harness.reports.analysis.differences import Arm, Comparison, TaskDifference
from harness.reports.analysis.pairing import pair

LONGEST_TEXT = 4_000  # characters of a prompt or an answer; longer ones lose their middle


@dataclass(frozen=True, kw_only=True)
class Flip:
    """An item on which the arm and the baseline differ.

    Attributes:
        task: Its task.
        doc_hash: Digest of its document.
        baseline: Name of the baseline.
        arm: Name of the arm.
        gained: Whether the arm is better than the baseline.
        values: Metric values of baseline and arm.
        samples: Prompt and answers of baseline and arm.
    """

    task: str
    doc_hash: str
    baseline: str
    arm: str
    gained: bool
    values: tuple[float, float]
    samples: tuple[Sample, Sample]


@dataclass(frozen=True, kw_only=True)
class Flips:
    """The selected items, and how many there are in all.

    Attributes:
        shown: Sorted by arm, task and direction.
        total: Items that flipped, over all arms of one run.
        arms: Arms whose items are shown.
        left_out: The other arms: those of several seeds, whose values are means over runs, and those beyond the number
            of arms shown.
    """

    shown: tuple[Flip, ...]
    total: int
    arms: tuple[str, ...]
    left_out: tuple[str, ...]


def flips(comparison: Comparison, *, most: int = 400, arms_shown: int = 4) -> Flips:
    """Select items that flipped, evenly over arms, tasks and directions.

    Args:
        comparison: Its arms of one run each; arms of several seeds are left out.
        most: Items to show at most.
        arms_shown: Arms to show items of; the first ones are taken.
    """
    baseline, *others = comparison.arms
    single_runs = [arm for arm in others if _is_single_run(baseline, arm)]
    arms = single_runs[:arms_shown]
    pairs = [(arm, one.task) for arm in arms for one in _with_items(comparison, arm)]
    share = max(1, most // (2 * len(pairs))) if pairs else 0
    shown: list[Flip] = []
    for arm, task in pairs:
        task_flips = _task_flips(baseline.models[0], arm.models[0], baseline.name, arm.name, task, share)
        shown += task_flips[: max(0, most - len(shown))]
    total = sum((one.gained or 0) + (one.lost or 0) for arm in single_runs for one in _with_items(comparison, arm))
    names = tuple(arm.name for arm in arms)
    left_out = tuple(arm.name for arm in others if arm.name not in names)
    return Flips(shown=tuple(shown), total=total, arms=names, left_out=left_out)


def _is_single_run(baseline: Arm, arm: Arm) -> bool:
    return len(baseline.models) == len(arm.models) == 1


def _with_items(comparison: Comparison, arm: Arm) -> list[TaskDifference]:
    return [one for one in comparison.differences if one.arm == arm.name and one.items]


def _task_flips(
    first: ModelRecords, second: ModelRecords, baseline: str, arm: str, task: str, share: int
) -> list[Flip]:
    runs = (first.tasks[task], second.tasks[task])
    if not all(run.is_mean for run in runs):
        return []
    paired = pair(runs)
    better = paired.values[1] - paired.values[0] if runs[0].higher_is_better else paired.values[0] - paired.values[1]
    chosen = np.concatenate([np.flatnonzero(better > 0.0)[:share], np.flatnonzero(better < 0.0)[:share]])
    hashes = [paired.doc_hashes[index].decode() for index in chosen]
    texts = [read_samples(run, set(hashes)) for run in runs]
    return [
        Flip(
            task=task,
            doc_hash=digest,
            baseline=baseline,
            arm=arm,
            gained=bool(better[index] > 0.0),
            values=(float(paired.values[0, index]), float(paired.values[1, index])),
            samples=(texts[0][digest], texts[1][digest]),
        )
        for digest, index in zip(hashes, chosen.tolist(), strict=True)
        if digest in texts[0] and digest in texts[1]
    ]


def shortened(text: str) -> str:
    """Replace the middle of a long text by the number of characters left out."""
    if len(text) <= LONGEST_TEXT:
        return text
    half = LONGEST_TEXT // 2
    return f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"
