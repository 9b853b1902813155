"""How the value of each task changes with a number set in training, such as the share of code: a slope over arms."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from harness.errors import InputError
from harness.reports.analysis.differences import ALPHA, Arm, TaskSlope
from harness.reports.analysis.metric import Direction, with_judgement
from harness.reports.analysis.pairing import pair
from harness.stats import correct, dose_response

FEWEST_RUNS = 3


def slopes(arms: Sequence[Arm], doses: Sequence[float], *, correction: str) -> tuple[TaskSlope, ...]:
    """Return the slope of every task that all runs have, over the items that all runs answered.

    Args:
        arms: Each with one run or several.
        doses: One per arm.
        correction: ``holm`` or ``bh``, over the tasks.

    Raises:
        InputError: The number of doses is not the number of arms, all doses are equal, or there are too few runs.
    """
    if len(doses) != len(arms) or len(set(doses)) < 2 or not all(map(math.isfinite, doses)):
        raise InputError(
            f"--doses {','.join(f'{dose:g}' for dose in doses)}: give one number for each of the {len(arms)} models, "
            "not all equal, such as their shares of code."
        )
    models = [model for arm in arms for model in arm.models]
    if len(models) < FEWEST_RUNS:
        raise InputError(f"--doses: {len(models)} runs always lie on one line; compare {FEWEST_RUNS} or more.")
    dose = [value for arm, value in zip(arms, doses, strict=True) for _ in arm.models]
    common = sorted(set.intersection(*(set(model.tasks) for model in models)))
    slopes_of_tasks = []
    for task in common:
        runs = [model.tasks[task] for model in models]
        paired = pair(runs) if all(run.is_mean for run in runs) else None
        if paired is None or not paired.values.shape[1]:
            continue
        test = dose_response(dose, paired.values, paired.clusters)
        known = math.isfinite(test.low) and math.isfinite(test.high)
        slopes_of_tasks.append(
            TaskSlope(
                task=task,
                domain=runs[0].domain,
                items=paired.values.shape[1],
                runs=len(runs),
                slope=test.slope,
                standard_error=test.standard_error,
                item_error=test.item_error,
                interval=(test.low, test.high) if known else None,
                p=test.p,
                p_corrected=math.nan,
            )
        )
    corrected = correct(np.array([one.p for one in slopes_of_tasks]), correction)
    rows = [one.with_corrected(float(p)) for one, p in zip(slopes_of_tasks, corrected, strict=True)]
    return tuple(sorted(rows, key=lambda one: (one.domain, one.task)))


def verdict(task_slopes: Sequence[TaskSlope], runs: int, metrics: Mapping[str, Direction]) -> str:
    """Return the result in a sentence; with few runs, also the smallest p, since no p can then be small.

    Args:
        task_slopes: By task.
        runs: Number of training runs.
        metrics: The direction of each task's metric.
    """
    significant = [one for one in task_slopes if one.p_corrected <= ALPHA]
    listed = ", ".join(f"{one.task} ({with_judgement(one.slope, [metrics[one.task]])})" for one in significant)
    least = min((one.p for one in task_slopes), default=1.0)
    # p is the share of permutations with at least this slope; 3 runs have 3! = 6, and a line read backwards counts too,
    # so no p is below 2 / 6 = 0.333.
    few = f" With {runs} runs p cannot be small: the smallest here is {least:.3f}." if runs <= 5 else ""
    return (
        f"Dose: the value changes with it on {len(significant)} of {len(task_slopes)} tasks"
        f"{': ' + listed if listed else ''}, after correction over the tasks; p permutes the doses among the {runs} "
        f"runs.{few}"
    )
