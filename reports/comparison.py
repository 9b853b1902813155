"""Two or more models on the same tasks: which differences are real. Records in, `Comparison` out; no files, no HTML.

An arm is one run, or several that differ in the seed only. Every other arm is compared with the baseline, task by task;
p-values are corrected over all tests of the document.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from scipy import special

from harness.errors import InputError, RecordError
from harness.records import ModelRecords, TaskRun
from harness.stats import aggregate, compare_arms, compare_paired, correct, non_inferiority
from reports.joining import Point, joined
from reports.pairing import CONTROLS, Paired, has_item_values, mismatches, pair, remarks

ALPHA = 0.05
OVERALL = "overall"


@dataclass(frozen=True, kw_only=True)
class Arm:
    """A model, or the runs of one recipe with several seeds.

    Attributes:
        name: In tables.
        models: Its runs.
    """

    name: str
    models: tuple[ModelRecords, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskDifference:
    """One task, one arm against the baseline. Differences are this arm less the baseline, in the metric's own sign.

    Attributes:
        task: Its name.
        domain: Its domain.
        metric: As ``name,filter``.
        chance: Value that guessing reaches.
        higher_is_better: Of the metric.
        baseline: The arm compared with.
        arm: The arm.
        items: Items in the comparison.
        clusters: Clusters of them; None for arms of several seeds.
        mean_baseline: Mean of the baseline over these items.
        mean_arm: Mean of the arm.
        difference: `mean_arm` - `mean_baseline`.
        standard_error: Of the difference, clustered; with several seeds over items and seeds.
        interval: 95%.
        p: Two-sided; None where the task cannot be tested.
        p_exact: McNemar's exact or the sign-flip p; None for several seeds.
        p_corrected: `p` corrected over all tests of the document.
        detectable: Smallest true difference found 4 times out of 5; None for several seeds.
        gained: Items on which the arm is better; None for several seeds.
        lost: Items on which the baseline is better.
        margin_p: One-sided p of "worse by the margin or more"; None without a margin.
        conclusion: ``non-inferior``, ``inferior`` or ``inconclusive``; empty without a margin.
        seed_error: Share of `standard_error` that comes from seeds; None for single runs.
        left_out: Items that only one of them answered: baseline, arm.
        failed: Failed requests: baseline, arm.
        warnings: Why it would have been refused without ``--force``.
    """

    task: str
    domain: str
    metric: str
    chance: float
    higher_is_better: bool
    baseline: str
    arm: str
    items: int
    clusters: int | None
    mean_baseline: float
    mean_arm: float
    difference: float
    standard_error: float
    interval: tuple[float, float] | None
    p: float | None
    p_exact: float | None
    p_corrected: float | None
    detectable: float | None
    gained: int | None
    lost: int | None
    margin_p: float | None
    conclusion: str
    seed_error: float | None
    left_out: tuple[int, int]
    failed: tuple[int, int]
    warnings: tuple[str, ...] = ()

    @property
    def significant(self) -> bool:
        """Whether the corrected p is at most 5%."""
        return self.p_corrected is not None and self.p_corrected <= ALPHA


@dataclass(frozen=True, kw_only=True)
class DomainDifference:
    """A domain, or all of them: the mean of the tasks' differences, each divided by 1 - chance.

    Attributes:
        domain: Its name; ``overall`` for the mean of the domains.
        tasks: Tasks in it.
        difference: The mean.
        standard_error: Of it, tasks taken as independent.
        interval: 95%, joined from the tasks' own.
    """

    domain: str
    tasks: int
    difference: float
    standard_error: float
    interval: tuple[float, float]


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """All pairs, task by task.

    Attributes:
        arms: Baseline first.
        differences: By arm, then domain and task.
        overall: By arm: mean difference by domain, then overall; empty where no task is on a scale from 0 to 1.
        correction: ``holm`` or ``bh``.
        margin: For non-inferiority; None when not asked.
        notes: What a reader must know.
    """

    arms: tuple[Arm, ...]
    differences: tuple[TaskDifference, ...]
    overall: Mapping[str, tuple[DomainDifference, ...]]
    correction: str
    margin: float | None
    notes: tuple[str, ...]


def compare(
    arms: Sequence[Arm],
    *,
    margin: float | None = None,
    correction: str = "holm",
    force: bool = False,
    resamples: int = 10_000,
    notes: Sequence[str] = (),
) -> Comparison:
    """Compare every arm with the first.

    Args:
        arms: Baseline first.
        margin: The loss that would matter; None asks nothing of the kind.
        correction: ``holm`` or ``bh``, over all tests.
        force: Compare what was not asked alike, and say so.
        resamples: Monte Carlo draws where no exact p is cheap.
        notes: Said first.

    Raises:
        RecordError: no common tasks or items, or runs that were not asked the same (unless `force`).
        InputError: one arm only, or several seeds against a single run.
    """
    if len(arms) < 2:
        raise InputError(f"{arms[0].name if arms else 'no model'}: one model only; give two or more to compare.")
    found: list[TaskDifference] = []
    told = list(notes)
    for arm in arms[1:]:
        found += _pair_of_arms(arms[0], arm, told, margin=margin, force=force, resamples=resamples)
    tested = [one for one in found if one.p is not None]
    corrected = correct([one.p for one in tested if one.p is not None], correction).tolist()
    by_test = {id(one): float(p) for one, p in zip(tested, corrected, strict=True)}
    differences = tuple(replace(one, p_corrected=by_test.get(id(one))) for one in found)
    return Comparison(
        arms=tuple(arms),
        differences=differences,
        overall={arm.name: _overall([d for d in differences if d.arm == arm.name]) for arm in arms[1:]},
        correction=correction,
        margin=margin,
        notes=tuple(dict.fromkeys(told)),
    )


def _pair_of_arms(
    baseline: Arm, arm: Arm, notes: list[str], *, margin: float | None, force: bool, resamples: int
) -> list[TaskDifference]:
    models = (*baseline.models, *arm.models)
    if len(models) > 2 and min(len(baseline.models), len(arm.models)) < 2:
        raise InputError(
            f"{baseline.name} has {len(baseline.models)} runs and {arm.name} {len(arm.models)}; seed noise can be told "
            "from items only with two or more runs on both sides. Give NAME=run1,run2 for both, or one run each."
        )
    common = [task for task in models[0].tasks if all(task in model.tasks for model in models)]
    if not common:
        told = "; ".join(f"{model.name}: {', '.join(model.tasks) or 'none'}" for model in models)
        raise RecordError(f"{baseline.name} and {arm.name} have no task in common ({told}); evaluate both on the same.")
    rest = sorted({task for model in models for task in model.tasks} - set(common))
    if rest:
        notes.append(f"Left out, not run by all of {baseline.name} and {arm.name}: {', '.join(rest)}.")
    found = []
    for task in common:
        runs = {model.name: model.tasks[task] for model in models}
        one = _task(baseline, arm, runs, notes, margin=margin, force=force, resamples=resamples)
        if one is not None:
            found.append(one)
    if not found:
        raise RecordError(
            f"{baseline.name} and {arm.name} have no item in common in {', '.join(common)}; their items are paired by "
            "doc_hash, so evaluate both on the same version of the data."
        )
    return sorted(found, key=lambda one: (one.domain, one.task))


def _task(
    baseline: Arm,
    arm: Arm,
    runs: Mapping[str, TaskRun],
    notes: list[str],
    *,
    margin: float | None,
    force: bool,
    resamples: int,
) -> TaskDifference | None:
    listed = list(runs.values())
    paired = pair(listed) if all(has_item_values(run) for run in listed) else None
    against = mismatches(runs, paired)
    task = listed[0].task
    if against and not force:
        raise RecordError(
            f"{task}: not asked alike, {'; '.join(against)}. Evaluate all in the same way, or give --force to compare "
            "all the same."
        )
    notes += [f"{task}: {what}; compared all the same (--force)." for what in against]
    notes += [f"{what[0].upper()}{what[1:]}. Near ties may flip." for what in remarks(runs)]
    first, seeds = listed[0], len(baseline.models)
    failed = (sum(run.failed for run in listed[:seeds]), sum(run.failed for run in listed[seeds:]))
    if any(failed):
        notes.append(f"{task}: {failed[0]} and {failed[1]} requests failed; their items are left out, not scored 0.")
    if paired is None:
        notes.append(f"{task}: {first.metric} is no mean over items, so the difference has no test.")
        return _untested(baseline, arm, listed, failed, tuple(against))
    if not paired.values.shape[1]:
        notes.append(f"{task}: no common items.")
        return None
    left_out = (max(paired.left_out[:seeds]), max(paired.left_out[seeds:]))
    if any(left_out):
        notes.append(f"{task}: {left_out[0]} and {left_out[1]} items without a partner are left out.")
    blank = _untested(baseline, arm, listed, failed, tuple(against))
    blank = replace(blank, items=paired.values.shape[1], left_out=left_out)
    if seeds > 1:
        return _seeds(blank, paired, seeds, margin, resamples)
    return _single(blank, paired, margin, resamples)


def _untested(
    baseline: Arm, arm: Arm, runs: Sequence[TaskRun], failed: tuple[int, int], against: tuple[str, ...]
) -> TaskDifference:
    seeds = len(baseline.models)
    values = [math.nan if run.value is None else run.value for run in runs]
    means = sum(values[:seeds]) / seeds, sum(values[seeds:]) / (len(values) - seeds)
    first = runs[0]
    return TaskDifference(
        task=first.task,
        domain=first.domain,
        metric=first.metric,
        chance=first.chance,
        higher_is_better=first.higher_is_better,
        baseline=baseline.name,
        arm=arm.name,
        items=0,
        clusters=None,
        mean_baseline=means[0],
        mean_arm=means[1],
        difference=means[1] - means[0],
        standard_error=math.nan,
        interval=None,
        p=None,
        p_exact=None,
        p_corrected=None,
        detectable=None,
        gained=None,
        lost=None,
        margin_p=None,
        conclusion="",
        seed_error=None,
        left_out=(0, 0),
        failed=failed,
        warnings=against,
    )


def _single(blank: TaskDifference, paired: Paired, margin: float | None, resamples: int) -> TaskDifference:
    sign = 1.0 if blank.higher_is_better else -1.0
    a, b = paired.values * sign
    test = compare_paired(a, b, paired.clusters, resamples=resamples)
    harm = non_inferiority(a, b, margin=margin, clusters=paired.clusters) if margin else None
    return replace(
        blank,
        clusters=test.clusters,
        mean_baseline=sign * test.mean_a,
        mean_arm=sign * test.mean_b,
        difference=sign * test.difference,
        standard_error=test.standard_error,
        interval=_turned(test.low, test.high, sign),
        p=test.p,
        p_exact=test.p_exact,
        detectable=test.minimum_detectable_effect,
        gained=test.gained,
        lost=test.lost,
        margin_p=harm.p if harm else None,
        conclusion=harm.conclusion if harm else "",
    )


def _seeds(blank: TaskDifference, paired: Paired, seeds: int, margin: float | None, resamples: int) -> TaskDifference:
    """Several seeds an arm; both p are Student's t of the difference over its error of items and seeds."""
    sign = 1.0 if blank.higher_is_better else -1.0
    a, b = paired.values[:seeds] * sign, paired.values[seeds:] * sign
    test = compare_arms(a, b, paired.clusters, resamples=resamples)
    margin_p, conclusion = None, ""
    if margin:
        margin_p = _upper_tail(test.difference + margin, test.standard_error, test.degrees_of_freedom)
        worse = _upper_tail(-test.difference - margin, test.standard_error, test.degrees_of_freedom)
        conclusion = "non-inferior" if margin_p < ALPHA else "inferior" if worse < ALPHA else "inconclusive"
    return replace(
        blank,
        mean_baseline=sign * float(a.mean()),
        mean_arm=sign * float(b.mean()),
        difference=sign * test.difference,
        standard_error=test.standard_error,
        interval=_turned(test.low, test.high, sign),
        p=min(1.0, 2.0 * _upper_tail(abs(test.difference), test.standard_error, test.degrees_of_freedom)),
        margin_p=margin_p,
        conclusion=conclusion,
        seed_error=test.seed_error,
    )


def _turned(low: float, high: float, sign: float) -> tuple[float, float]:
    return (low, high) if sign > 0 else (-high, -low)


def _upper_tail(value: float, error: float, freedom: float) -> float:
    if error > 0.0:
        return float(special.stdtr(freedom, -value / error))
    return 0.5 if value == 0.0 else 0.0 if value > 0.0 else 1.0


def _counts(difference: TaskDifference) -> bool:
    """Whether a task is part of the overall number: its values lie on a scale from 0 to 1, more is better."""
    values = (difference.mean_baseline, difference.mean_arm)
    return difference.p is not None and difference.higher_is_better and all(0.0 <= value <= 1.0 for value in values)


def _overall(differences: Sequence[TaskDifference]) -> tuple[DomainDifference, ...]:
    """Mean chance-centred differences; over reasoning domains where there are any: the others are controls."""
    counted = [one for one in differences if _counts(one)]
    rows = [one for one in counted if one.domain not in CONTROLS] or counted
    if not rows:
        return ()
    rooms = [1.0 - one.chance for one in rows]
    total = aggregate(
        [one.difference / room for one, room in zip(rows, rooms, strict=True)],
        [one.standard_error / room for one, room in zip(rows, rooms, strict=True)],
        [one.domain for one in rows],
        [0.0 for _ in rows],
    )
    points = {
        part.domain: joined([_centred(one) for one in rows if one.domain == part.domain]) for part in total.domains
    }
    found = [
        DomainDifference(
            domain=part.domain,
            tasks=part.tasks,
            difference=part.centred,
            standard_error=part.centred_error,
            interval=(points[part.domain].low, points[part.domain].high),
        )
        for part in total.domains
    ]
    whole = joined(list(points.values()))
    return (
        *found,
        DomainDifference(
            domain=OVERALL,
            tasks=len(rows),
            difference=total.centred,
            standard_error=total.centred_error,
            interval=(whole.low, whole.high),
        ),
    )


def _centred(one: TaskDifference) -> Point:
    low, high = one.interval or (-math.inf, math.inf)
    room = 1.0 - one.chance
    return Point(value=one.difference / room, low=low / room, high=high / room)
