"""A comparison as tables and sentences, the same for the terminal, Markdown, CSV, JSON, LaTeX and HTML."""

from __future__ import annotations

import math
from typing import Any

from harness.reports.analysis.differences import OVERALL, Comparison, TaskDifference
from harness.reports.analysis.dose import verdict
from harness.reports.documents.tables import Column, Document, Row, Table
from harness.stats import AGGREGATE

CORRECTION_NAMES = {"holm": "Holm", "bh": "Benjamini-Hochberg"}

MEANINGS = {
    "n": "Items that both answered, paired by the digest of their document.",
    "difference": "Mean of the model minus mean of the baseline, over the same items.",
    "interval": "95% interval of the difference: Tango's for right/wrong answers, Student's t for others; clustered.",
    "p": "Two-sided: mid-p variant of McNemar's exact test or of the sign-flip test; clusters flip together.",
    "p_corrected": "p corrected for all tests of this document.",
    "detectable": "Smallest true difference that the test, before correction, finds with 80% power.",
    "gained": "Items on which the model is better than the baseline.",
    "lost": "Items on which the baseline is better than the model.",
    "conclusion": "Non-inferiority: whether a loss of the margin or more can be ruled out (one-sided, 5%).",
    "overall": f"Chance-centred mean over domains ({AGGREGATE}): 0 is guessing, 1 is perfect.",
}

SEED_MEANINGS = {
    "difference": "Mean of the recipe's runs minus mean of the baseline's runs, over the same items.",
    "interval": "95% interval of the difference: bootstrap over runs, and over items or their clusters.",
    "p": "Two-sided: Student's t, the difference over its standard error of items and runs.",
}

RAW_MEANINGS = {
    "baseline": "The model or recipe compared with.",
    "standard_error": "Standard error of the difference, clustered; with several seeds, of items and seeds together.",
    "clusters": "Number of clusters of the items.",
    "p_exact": "p of McNemar's exact test or of the sign-flip test, not mid-p.",
    "failed_baseline": "Requests of the baseline without an answer.",
    "failed_arm": "Requests of the model without an answer.",
    "left_out_baseline": "Items that only the baseline answered.",
    "left_out_arm": "Items that only the model answered.",
    "forced": "Why this comparison would be refused without --force; empty if it would not.",
}

_OF_DOMAIN = ("domain", "tasks", "difference", "standard_error", "interval")


def comparison_document(comparison: Comparison, command: str) -> Document:
    """Return the document of a comparison: differences by task, then by domain and overall, then slopes over a dose."""
    names = [arm.name for arm in comparison.arms]
    title = f"{names[1]} against {names[0]}" if len(names) == 2 else f"{len(names) - 1} models against {names[0]}"
    runs = sum(len(arm.models) for arm in comparison.arms)
    dose = [verdict(comparison.slopes, runs)] if comparison.slopes else []
    notes = [*_results(comparison), *dose, *comparison.notes, _methods_note(comparison)]
    tables = (_differences(comparison), _overall(comparison), _slopes(comparison))
    return Document(title=title, command=command, tables=tuple(t for t in tables if t.rows), notes=tuple(notes))


def _differences(comparison: Comparison) -> Table:
    names = [arm.name for arm in comparison.arms]
    several, seeds = len(names) > 2, len(comparison.arms[0].models) > 1
    meanings = MEANINGS | SEED_MEANINGS if seeds else MEANINGS
    columns = [
        *([Column(key="arm", heading="model", kind="text")] if several else []),
        Column(key="domain", heading="domain", kind="text", aside=True),
        Column(key="task", heading="task", kind="text"),
        Column(key="metric", heading="metric", kind="text", aside=True),
        Column(key="items", heading="n", kind="count", meaning=MEANINGS["n"]),
        Column(key="mean_baseline", heading=names[0], meaning="Mean of the baseline over these items."),
        Column(key="mean_arm", heading="value" if several else names[1], meaning="Mean of the model over these items."),
        Column(key="difference", heading="difference", kind="difference", meaning=meanings["difference"]),
        Column(key="interval", heading="95% interval", kind="interval", meaning=meanings["interval"]),
        Column(key="p", heading="p", kind="p", meaning=meanings["p"]),
        Column(key="p_corrected", heading="p corr.", kind="p", meaning=MEANINGS["p_corrected"]),
    ]
    if seeds:
        columns.append(
            Column(
                key="seed_error", heading="s.e. of seeds", meaning="Part of the standard error that comes from seeds."
            )
        )
    else:
        columns += [
            Column(key="detectable", heading="detectable", meaning=MEANINGS["detectable"]),
            Column(key="gained", heading="gained", kind="count", meaning=MEANINGS["gained"]),
            Column(key="lost", heading="lost", kind="count", meaning=MEANINGS["lost"]),
        ]
    if comparison.margin is not None:
        columns.append(
            Column(
                key="conclusion",
                heading=f"margin {comparison.margin:g}",
                kind="text",
                meaning=MEANINGS["conclusion"],
            )
        )
        columns.append(Column(key="margin_p", heading="its p", kind="p", meaning=MEANINGS["conclusion"], aside=True))
    columns += [Column(key=key, heading=key, meaning=meaning, raw=True) for key, meaning in RAW_MEANINGS.items()]
    rows = tuple(Row(cells=_cells(one), tone=_tone(one)) for one in comparison.differences)
    return Table(key="differences", title="Difference by task", columns=tuple(columns), rows=rows)


def _cells(one: TaskDifference) -> dict[str, Any]:
    name, _, filter_name = one.metric.partition(",")
    return {
        "arm": one.arm,
        "baseline": one.baseline,
        "domain": one.domain,
        "task": one.task,
        "metric": name if filter_name in ("none", "") else f"{name} ({filter_name})",
        "items": one.items or None,
        "mean_baseline": one.mean_baseline,
        "mean_arm": one.mean_arm,
        "difference": one.difference,
        "interval": one.interval,
        "p": one.p,
        "p_corrected": one.p_corrected,
        "detectable": one.detectable,
        "gained": one.gained,
        "lost": one.lost,
        "seed_error": one.seed_error,
        "conclusion": one.conclusion or None,
        "margin_p": one.margin_p,
        "standard_error": one.standard_error if math.isfinite(one.standard_error) else None,
        "clusters": one.clusters,
        "p_exact": one.p_exact,
        "failed_baseline": one.failed[0],
        "failed_arm": one.failed[1],
        "left_out_baseline": one.left_out[0],
        "left_out_arm": one.left_out[1],
        "forced": "; ".join(one.warnings),
    }


def _tone(one: TaskDifference) -> Any:
    return "warning" if any(one.failed) or one.warnings else "strong" if one.significant else "muted"


def _overall(comparison: Comparison) -> Table:
    several = len(comparison.arms) > 2
    columns = (
        *([Column(key="arm", heading="model", kind="text")] if several else []),
        Column(key="domain", heading="chance-centred", kind="text", meaning=MEANINGS["overall"]),
        Column(key="tasks", heading="tasks", kind="count", meaning="Tasks of the domain that both ran."),
        Column(key="difference", heading="difference", kind="difference", meaning="Mean of the tasks' differences."),
        Column(key="standard_error", heading="s.e.", meaning="Clustered; tasks are taken as independent."),
        Column(
            key="interval", heading="95% interval", kind="interval", meaning="Combined from the intervals of the tasks."
        ),
    )
    rows = [
        Row(
            cells={"arm": arm, **{name: getattr(part, name) for name in _OF_DOMAIN}},
            tone="strong" if part.domain == OVERALL else "",
        )
        for arm, parts in comparison.overall.items()
        for part in parts
    ]
    return Table(key="overall", title="Difference by domain and overall", columns=columns, rows=tuple(rows))


def _slopes(comparison: Comparison) -> Table:
    columns = (
        Column(key="domain", heading="domain", kind="text", aside=True),
        Column(key="task", heading="task", kind="text"),
        Column(key="items", heading="n", kind="count", meaning="Items that every run answered."),
        Column(key="runs", heading="runs", kind="count", meaning="Training runs."),
        Column(key="slope", heading="slope", kind="difference", meaning="Change of the value per unit of the dose."),
        Column(key="standard_error", heading="s.e.", meaning="Over runs, from their scatter about the line."),
        Column(
            key="item_error",
            heading="s.e. of items",
            meaning="How much the slope would typically change with other items.",
        ),
        Column(key="interval", heading="95% interval", kind="interval", meaning="Student's t over runs."),
        Column(key="p", heading="p", kind="p", meaning="Permutes the doses among the runs."),
        Column(key="p_corrected", heading="p corr.", kind="p", meaning="Corrected over the tasks of this table."),
    )
    names = [column.key for column in columns]
    rows = tuple(Row(cells={name: getattr(one, name) for name in names}) for one in comparison.slopes)
    return Table(key="slopes", title="Slope over the dose", columns=columns, rows=rows)


def _results(comparison: Comparison) -> list[str]:
    """Return one sentence per arm: which differences are significant, and which could not have been found."""
    sentences = []
    correction = CORRECTION_NAMES[comparison.correction]
    for arm in comparison.arms[1:]:
        rows = [one for one in comparison.differences if one.arm == arm.name and one.p is not None]
        significant = [one for one in rows if one.significant]
        if significant:
            listed = ", ".join(f"{one.task} ({one.difference:+.3f})" for one in significant)
            result = f"{len(significant)} of {len(rows)} tasks differ after {correction}'s correction: {listed}."
        elif not rows:
            result = "no task could be tested; the notes say why."
        else:
            result = f"no difference survives {correction}'s correction.{_overall_result(comparison, arm.name)}"
        limits = [one.detectable for one in rows if one.detectable is not None and not one.significant]
        power = f" {low_power(min(limits), max(limits))}" if limits else ""
        sentences.append(f"{arm.name} against {comparison.arms[0].name}: {result}{power}")
    return sentences


def low_power(least: float, most: float) -> str:
    """Return a sentence on differences too small to be found.

    Args:
        least: Smallest detectable difference of any task.
        most: Largest detectable difference of any task; infinite when a task can detect none.
    """
    if math.isinf(least):
        return "With so few items, power is below 80% for any true difference."
    sizes = f"{least:.3f}" if f"{least:.3f}" == f"{most:.3f}" else f"{least:.3f} to {most:.3f}, depending on the task"
    if math.isinf(most):
        sizes = f"{least:.3f}, and on some tasks for any"
    return f"Power is below 80% for true differences under {sizes}."


def _overall_result(comparison: Comparison, arm: str) -> str:
    """Return a sentence if all tasks together differ though no single task does; the tables would seem to disagree."""
    overall = next((part for part in comparison.overall.get(arm, ()) if part.domain == OVERALL), None)
    if overall is None or overall.tasks < 2 or overall.interval[0] <= 0 <= overall.interval[1]:
        return ""
    low, high = overall.interval
    n_arms = len(comparison.arms) - 1
    tests = "one test, which needs no correction" if n_arms == 1 else f"not corrected for {n_arms} models"
    return (
        f" All {overall.tasks} tasks together do differ ({tests}): overall {overall.difference:+.3f}, {low:+.3f} to "
        f"{high:+.3f}."
    )


def _methods_note(comparison: Comparison) -> str:
    n_shown, n_tests = sum(one.p is not None for one in comparison.differences), comparison.tests
    if not n_tests:
        return "Definitions: docs/statistics.md."
    pairs = ", every pair of models on every task, because the baseline was chosen by these values"
    return (
        f"p corr. is corrected for {n_tests} {'test' if n_tests == 1 else 'tests'}{pairs if n_tests > n_shown else ''} "
        f"({CORRECTION_NAMES[comparison.correction]}); intervals are not adjusted for multiple tests. gained and lost "
        "count items. detectable is the smallest true difference that the test, before correction, finds with 80% "
        "power. Definitions: docs/statistics.md."
    )
