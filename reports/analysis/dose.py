"""How each task's value moves with a numeric factor of training, such as the share of code: the slope over the arms."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.errors import InputError
from harness.reports.analysis.differences import ALPHA, Arm, TaskSlope
from harness.reports.analysis.pairing import has_item_values, pair
from harness.stats import correct, dose_response

FEWEST_RUNS = 3


def slopes(arms: Sequence[Arm], doses: Sequence[float], *, correction: str) -> tuple[TaskSlope, ...]:
    """Return the slope of every task that all runs of all arms answered, on the items that all answered.

    Args:
        arms: Any number of runs each.
        doses: One an arm.
        correction: ``holm`` or ``bh``, over the tasks.

    Raises:
        InputError: not one dose an arm, or all doses equal.
    """
    if len(doses) != len(arms) or len(set(doses)) < 2 or not all(map(math.isfinite, doses)):
        raise InputError(
            f"--doses {','.join(f'{dose:g}' for dose in doses)}: give one number for each of the {len(arms)} models, "
            "not all the same, such as their shares of code."
        )
    models = [model for arm in arms for model in arm.models]
    if len(models) < FEWEST_RUNS:
        raise InputError(f"--doses: {len(models)} runs lie on a line whatever they are; compare {FEWEST_RUNS} or more.")
    dose = [value for arm, value in zip(arms, doses, strict=True) for _ in arm.models]
    common = sorted(set.intersection(*(set(model.tasks) for model in models)))
    found = []
    for task in common:
        runs = [model.tasks[task] for model in models]
        paired = pair(runs) if all(has_item_values(run) for run in runs) else None
        if paired is None or not paired.values.shape[1]:
            continue
        test = dose_response(dose, paired.values, paired.clusters)
        known = math.isfinite(test.low) and math.isfinite(test.high)
        found.append(
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
    corrected = correct(np.array([one.p for one in found]), correction)
    rows = [one.with_corrected(float(p)) for one, p in zip(found, corrected, strict=True)]
    return tuple(sorted(rows, key=lambda one: (one.domain, one.task)))


def verdict(found: Sequence[TaskSlope], runs: int) -> str:
    """Return the answer in a sentence, with the smallest p that so few runs can give."""
    real = [one for one in found if one.p_corrected <= ALPHA]
    told = ", ".join(f"{one.task} ({one.slope:+.3f})" for one in real)
    least = min((one.p for one in found), default=1.0)
    few = f" With {runs} runs no p can fall far: the smallest here is {least:.3f}." if runs <= 5 else ""
    return (
        f"Dose: the value moves with it on {len(real)} of {len(found)} tasks{': ' + told if told else ''}, after "
        f"correction over the tasks; p permutes the doses among the {runs} runs.{few}"
    )
