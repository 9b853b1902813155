"""Compare two or more models on the same tasks: records in, a `Comparison` out.

An arm is one run, or several runs that differ only in their seed. Every other arm is compared with the baseline, task
by task. p-values are corrected over all tests of the comparison.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from harness.checkpoints.lineage import contamination_warnings
from harness.errors import InputError, RecordError
from harness.records import TaskRun, naming_notes
from harness.reports.analysis.comparability import agreements_of, caveats_of, forced_caveats
from harness.reports.analysis.differences import Arm, Comparison, DomainDifference, TaskDifference
from harness.reports.analysis.dose import slopes
from harness.reports.analysis.families import correct_all, with_conclusions
from harness.reports.analysis.overall import MeasuredTask, overall
from harness.reports.analysis.pairing import Paired, mismatches, pair
from harness.reports.analysis.parents import WholePlots, whole_plots
from harness.reports.analysis.small_designs import small_design_notes
from harness.reports.analysis.task_notes import TaskNote, joined
from harness.reports.analysis.task_tests import RunsOfArms, paired_test, runs_test


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


@dataclass(frozen=True, kw_only=True)
class PairOptions:
    """How arms are tested.

    Attributes:
        margin: The smallest loss that matters, for a non-inferiority test; None for no such test.
        force: Compare runs even if their prompts differ.
        resamples: Monte Carlo draws where an exact p would be slow.
        any_scale: All tasks have one metric that need not lie between 0 and 1.
    """

    margin: float | None = None
    force: bool = False
    resamples: int = 10_000
    any_scale: bool = False


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
    any_scale: bool = False,
) -> Comparison:
    """Compare every arm with the first.

    Args:
        arms: Baseline first.
        margin: The smallest loss that matters, for a non-inferiority test; None for no such test.
        correction: ``holm`` (the overall value first, then its tasks) or ``bh``, over all tests.
        force: Compare runs even if their prompts differ, and add a warning.
        resamples: Monte Carlo draws where an exact p would be slow.
        notes: Notes to put before those of the comparison, such as files that were skipped.
        chosen: Whether the baseline was chosen by its values here, like the leader of a leaderboard. Then p-values are
            corrected for every pair of arms, since any of them could have become the baseline.
        doses: One number per arm, such as its share of code, to estimate the slope over it; empty for no slope.
        any_scale: All tasks have one metric that need not lie between 0 and 1, so overall is the mean over domains.

    Raises:
        RecordError: The arms have no common tasks or items, or their prompts differ (unless `force`).
        InputError: There is only one arm, or one arm has several seeds and another a single run.
    """
    if len(arms) < 2:
        raise InputError(f"{arms[0].name if arms else 'no model'}: only one model; give two or more to compare.")
    all_notes = [
        warning for arm in arms for model in arm.models for warning in contamination_warnings(model.name, model.lineage)
    ] + list(notes)
    single = [arm.models[0] for arm in arms if len(arm.models) == 1]
    # All checks come before the first test, so that a second try after a refusal repeats no test.
    paired_tasks = {arm.name: _pair_arms(arms[0], arm, all_notes, force=force) for arm in arms[1:]}
    options = PairOptions(margin=margin, force=force, resamples=resamples, any_scale=any_scale)
    differences: list[TaskDifference] = []
    overall_of_arms = {}
    for arm in arms[1:]:
        tested, overall_of_arms[arm.name] = _test(arms[0], arm, paired_tasks[arm.name], options, all_notes)
        differences += tested
    corrected = correct_all(differences, overall_of_arms, correction, among=len(arms) if chosen else 0)
    corrected = with_conclusions(corrected) if margin else corrected
    return Comparison(
        arms=tuple(arms),
        differences=corrected.differences,
        overall=corrected.overall,
        correction=correction,
        tests=corrected.tests,
        margin=margin,
        notes=tuple(dict.fromkeys([*all_notes, *small_design_notes(differences, arms), *naming_notes(single)])),
        slopes=slopes(arms, doses, correction=correction) if doses else (),
        caveats=(
            *forced_caveats([(one.task, one.warnings) for one in differences], "compared"),
            *caveats_of({arm.name: arm.models for arm in arms}),
        ),
        agreements=agreements_of([arm.models for arm in arms]),
        any_scale=any_scale,
    )


def difference_of_pair(
    baseline: Arm, arm: Arm, options: PairOptions
) -> tuple[list[TaskDifference], tuple[DomainDifference, ...]]:
    """Return the differences of two arms by task, and by domain and overall; p-values are not corrected.

    Raises:
        RecordError: The arms have no common tasks or items, or their prompts differ (unless forced).
        InputError: One arm has several seeds and the other a single run.
    """
    notes: list[str] = []
    return _test(baseline, arm, _pair_arms(baseline, arm, notes, force=options.force), options, notes)


def _test(
    baseline: Arm, arm: Arm, paired: Sequence[_PairedTask], options: PairOptions, notes: list[str]
) -> tuple[list[TaskDifference], tuple[DomainDifference, ...]]:
    plots = _plots(baseline, arm, notes)
    tested = [_tested(one, plots, margin=options.margin, resamples=options.resamples) for one in paired]
    measured = [one for _, one in tested if one is not None]
    by_domain = overall(
        measured, plots.names, separable=plots.separable, any_scale=options.any_scale, margin=options.margin
    )
    return [difference for difference, _ in tested], by_domain


def _plots(baseline: Arm, arm: Arm, notes: list[str]) -> WholePlots:
    """Return the pre-training runs of several runs, with a note; single runs have no error of runs to group."""
    if len(baseline.models) < 2:
        return WholePlots(names=None, separable=True, note="")
    plots = whole_plots((baseline.name, baseline.models), (arm.name, arm.models))
    if plots.note:
        notes.append(plots.note)
    return plots


def _pair_arms(baseline: Arm, arm: Arm, notes: list[str], *, force: bool) -> list[_PairedTask]:
    models = (*baseline.models, *arm.models)
    if len(models) > 2 and min(len(baseline.models), len(arm.models)) < 2:
        raise InputError(
            f"{baseline.name} has {len(baseline.models)} runs and {arm.name} {len(arm.models)}; noise from seeds can "
            "be estimated only with two or more runs on both sides. Give NAME=run1,run2 for both, or one run each."
        )
    common = [task for task in models[0].tasks if all(task in model.tasks for model in models)]
    if not common:
        tasks_by_model = "; ".join(f"{model.name}: {', '.join(model.tasks) or 'none'}" for model in models)
        raise RecordError(
            f"{baseline.name} and {arm.name} have no task in common ({tasks_by_model}); evaluate both on the same."
        )
    not_common = sorted({task for model in models for task in model.tasks} - set(common))
    failed = sorted({task for model in models for task in model.unscored} - set(common))
    if failed:
        notes.append(f"Left out, every request failed in a run of {baseline.name} or {arm.name}: {', '.join(failed)}.")
    if not_run := [task for task in not_common if task not in failed]:
        notes.append(f"Left out, not in all runs of {baseline.name} and {arm.name}: {', '.join(not_run)}.")
    paired_tasks = []
    on_tasks: list[TaskNote] = []
    for task in common:
        runs = {model.name: model.tasks[task] for model in models}
        paired_task = _pair_task(baseline, arm, runs, on_tasks, force=force)
        if paired_task is not None:
            paired_tasks.append(paired_task)
    notes += joined(on_tasks)
    if not paired_tasks:
        raise RecordError(
            f"{baseline.name} and {arm.name} have no item in common in {', '.join(common)}; items are paired by "
            "doc_hash, so evaluate both on the same version of the data."
        )
    return sorted(paired_tasks, key=lambda one: (one.untested.domain, one.untested.task))


def _tested(
    one: _PairedTask, plots: WholePlots, *, margin: float | None, resamples: int
) -> tuple[TaskDifference, MeasuredTask | None]:
    """Return the difference with its test, and what the overall value needs of it."""
    if one.paired is None:
        return one.untested, None
    if one.n_baseline_runs > 1:
        runs = RunsOfArms(of_baseline=one.n_baseline_runs, plots=plots.names, separable=plots.separable)
        difference = runs_test(one.untested, one.paired, runs, margin)
    else:
        difference = paired_test(one.untested, one.paired, margin, resamples)
    return difference, MeasuredTask(difference=difference, paired=one.paired, n_baseline_runs=one.n_baseline_runs)


def _pair_task(
    baseline: Arm, arm: Arm, runs: Mapping[str, TaskRun], notes: list[TaskNote], *, force: bool
) -> _PairedTask | None:
    listed = list(runs.values())
    paired = pair(listed) if all(run.is_mean for run in listed) else None
    reasons = mismatches(runs, paired)
    task = listed[0].task
    if reasons and not force:
        raise RecordError(
            f"{task}: the runs cannot be compared: {'; '.join(reasons)}. Evaluate all with the same settings, or give "
            "--force to compare them anyway."
        )
    first, seeds = listed[0], len(baseline.models)
    failed = (sum(run.failed for run in listed[:seeds]), sum(run.failed for run in listed[seeds:]))
    if any(failed):
        notes.append(_failures(task, failed))
    if paired is None:
        why = f"{first.metric.removesuffix(',none')} is not a mean over items, so the difference has no test"
        notes.append(TaskNote(task=task, alone=f"{task}: {why}.", shared=why))
        untested = _untested(baseline, arm, listed, failed, tuple(reasons))
        return _PairedTask(untested=untested, paired=None, n_baseline_runs=seeds)
    if not paired.values.shape[1]:
        notes.append(TaskNote(task=task, alone=f"{task}: no items in common.", shared="No items in common"))
        return None
    left_out = (max(paired.left_out[:seeds]), max(paired.left_out[seeds:]))
    if any(left_out):
        counts, which = f"{left_out[0]} and {left_out[1]}", "items that only one side answered are left out"
        alone = f"{task}: {counts} {which}."
        notes.append(TaskNote(task=task, alone=alone, shared=which.capitalize(), counts=counts))
    untested = _untested(baseline, arm, listed, failed, tuple(reasons))
    untested = replace(untested, items=paired.values.shape[1], left_out=left_out)
    return _PairedTask(untested=untested, paired=paired, n_baseline_runs=seeds)


def _failures(task: str, failed: tuple[int, int]) -> TaskNote:
    counts = f"{failed[0]} and {failed[1]} requests"
    return TaskNote(
        task=task,
        alone=f"{task}: {counts} failed; their items are left out, not scored 0.",
        shared="Items of failed requests are left out, not scored 0",
        counts=counts,
    )


def _untested(
    baseline: Arm, arm: Arm, runs: Sequence[TaskRun], failed: tuple[int, int], warnings: tuple[str, ...]
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
        warnings=warnings,
        items_from=first.items_from,
    )
