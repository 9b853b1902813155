"""Two or more models on the same tasks: which differences are real. Records in, `Comparison` out; no files, no HTML.

An arm is one run, or several that differ in the seed only. Every other arm is compared with the baseline, task by task;
p-values are corrected over all tests of the document.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.checkpoints.lineage import contamination_warnings
from harness.errors import InputError, RecordError
from harness.records import TaskRun
from harness.reports.analysis.differences import Arm, Comparison, TaskDifference
from harness.reports.analysis.dose import slopes
from harness.reports.analysis.overall import overall
from harness.reports.analysis.pairing import Paired, caveats, has_item_values, mismatches, pair
from harness.reports.analysis.task_tests import several_seeds, single
from harness.stats import correct


@dataclass(frozen=True, kw_only=True, eq=False)
class _PairedTask:
    """One task of one arm and the baseline, before its test.

    Attributes:
        untested: The difference, with all that needs no test filled in.
        paired: The items of all runs; None when the metric cannot be tested.
        n_baseline_runs: Rows of `paired` that are the baseline's; the rest are the arm's.
    """

    untested: TaskDifference
    paired: Paired | None
    n_baseline_runs: int


def compare(
    arms: Sequence[Arm],
    *,
    margin: float | None = None,
    correction: str = "holm",
    force: bool = False,
    resamples: int = 10_000,
    notes: Sequence[str] = (),
    chosen: bool = False,
    doses: Sequence[float] = (),
) -> Comparison:
    """Compare every arm with the first.

    Args:
        arms: Baseline first.
        margin: The loss that would matter; None asks nothing of the kind.
        correction: ``holm`` or ``bh``, over all tests.
        force: Compare what was not asked alike, and say so.
        resamples: Monte Carlo draws where no exact p is cheap.
        notes: Said first.
        chosen: Whether the baseline was chosen by these very numbers, as a leader is: then every pair of arms has been
            looked at, and p-values are corrected for all of them.
        doses: A number an arm, such as its share of code, for the slope over it; none asks nothing of the kind.

    Raises:
        RecordError: no common tasks or items, or runs that were not asked the same (unless `force`).
        InputError: one arm only, or several seeds against a single run.
    """
    if len(arms) < 2:
        raise InputError(f"{arms[0].name if arms else 'no model'}: one model only; give two or more to compare.")
    paired_tasks: list[_PairedTask] = []
    told = [
        one for arm in arms for model in arm.models for one in contamination_warnings(model.name, model.lineage)
    ] + list(notes)
    for arm in arms[1:]:
        paired_tasks += _pair_of_arms(arms[0], arm, told, force=force)
    # Tests come after all checks: a refused comparison has then run no test, and a second try repeats none.
    found = [_tested(one, margin=margin, resamples=resamples) for one in paired_tasks]
    tested = [one for one in found if one.p is not None]
    family = math.ceil(len(tested) * len(arms) / 2) if chosen else len(tested)
    corrected = correct([one.p for one in tested if one.p is not None], correction, family).tolist()
    by_test = {id(one): float(p) for one, p in zip(tested, corrected, strict=True)}
    differences = tuple(replace(one, p_corrected=by_test.get(id(one))) for one in found)
    return Comparison(
        arms=tuple(arms),
        differences=differences,
        overall={arm.name: overall([d for d in differences if d.arm == arm.name]) for arm in arms[1:]},
        correction=correction,
        tests=family,
        margin=margin,
        notes=tuple(dict.fromkeys(told)),
        slopes=slopes(arms, doses, correction=correction) if doses else (),
    )


def _pair_of_arms(baseline: Arm, arm: Arm, notes: list[str], *, force: bool) -> list[_PairedTask]:
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
    failed = sorted({task for model in models for task in model.unscored} - set(common))
    if failed:
        notes.append(f"Left out, every request failed in a run of {baseline.name} or {arm.name}: {', '.join(failed)}.")
    if not_run := [task for task in rest if task not in failed]:
        notes.append(f"Left out, not run by all of {baseline.name} and {arm.name}: {', '.join(not_run)}.")
    found = []
    for task in common:
        runs = {model.name: model.tasks[task] for model in models}
        one = _paired_task(baseline, arm, runs, notes, force=force)
        if one is not None:
            found.append(one)
    if not found:
        raise RecordError(
            f"{baseline.name} and {arm.name} have no item in common in {', '.join(common)}; their items are paired by "
            "doc_hash, so evaluate both on the same version of the data."
        )
    return sorted(found, key=lambda one: (one.untested.domain, one.untested.task))


def _tested(one: _PairedTask, *, margin: float | None, resamples: int) -> TaskDifference:
    if one.paired is None:
        return one.untested
    if one.n_baseline_runs > 1:
        return several_seeds(one.untested, one.paired, one.n_baseline_runs, margin, resamples)
    return single(one.untested, one.paired, margin, resamples)


def _paired_task(
    baseline: Arm, arm: Arm, runs: Mapping[str, TaskRun], notes: list[str], *, force: bool
) -> _PairedTask | None:
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
    notes += [f"{what[0].upper()}{what[1:]}. Near ties may flip." for what in caveats(runs)]
    first, seeds = listed[0], len(baseline.models)
    failed = (sum(run.failed for run in listed[:seeds]), sum(run.failed for run in listed[seeds:]))
    if any(failed):
        notes.append(f"{task}: {failed[0]} and {failed[1]} requests failed; their items are left out, not scored 0.")
    if paired is None:
        notes.append(f"{task}: {first.metric} is no mean over items, so the difference has no test.")
        untested = _untested(baseline, arm, listed, failed, tuple(against))
        return _PairedTask(untested=untested, paired=None, n_baseline_runs=seeds)
    if not paired.values.shape[1]:
        notes.append(f"{task}: no common items.")
        return None
    left_out = (max(paired.left_out[:seeds]), max(paired.left_out[seeds:]))
    if any(left_out):
        notes.append(f"{task}: {left_out[0]} and {left_out[1]} items without a partner are left out.")
    untested = _untested(baseline, arm, listed, failed, tuple(against))
    untested = replace(untested, items=paired.values.shape[1], left_out=left_out)
    return _PairedTask(untested=untested, paired=paired, n_baseline_runs=seeds)


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
