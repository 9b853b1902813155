"""A comparison in tables and sentences, the same for the terminal, Markdown, CSV, JSON, LaTeX and HTML."""

from __future__ import annotations

import math
from typing import Any

from harness.reports.analysis.differences import OVERALL, Comparison, TaskDifference
from harness.reports.analysis.dose import verdict
from harness.reports.documents.tables import Column, Document, Row, Table
from harness.stats import AGGREGATE

CORRECTION_NAMES = {"holm": "Holm", "bh": "Benjamini-Hochberg"}

MEANINGS = {
    "n": "Items that both answered, paired by the digest of the document.",
    "difference": "Mean of the second less mean of the first, over the same items.",
    "interval": "95% interval of the difference: Tango's for right/wrong answers, Student's t for others; clustered.",
    "p": "Two-sided, mid-p variant of McNemar's exact or the sign-flip test; clusters flip together.",
    "p_corrected": "p corrected for having looked at every test of this document.",
    "detectable": "Smallest true difference that p, before correction, would find 4 times out of 5.",
    "gained": "Items on which the second is better.",
    "lost": "Items on which the first is better.",
    "conclusion": "Non-inferiority: whether a loss of the margin or more can be ruled out (one-sided, 5%).",
    "overall": f"Chance-centred mean over domains ({AGGREGATE}): 0 is guessing, 1 is perfect.",
}

OF_SEEDS = {
    "difference": "Mean of the second recipe's runs less mean of the first's, over the same items.",
    "interval": "95% interval of the difference: a bootstrap over runs, and over items or their clusters.",
    "p": "Two-sided, Student's t of the difference over its error of items and of runs.",
}

RAW = {
    "baseline": "The first.",
    "standard_error": "Of the difference, clustered; with several seeds over items and seeds.",
    "clusters": "Clusters of the items.",
    "p_exact": "McNemar's exact or the sign-flip p, not mid-p.",
    "failed_baseline": "Requests of the first without an answer.",
    "failed_arm": "Requests of the second without an answer.",
    "left_out_baseline": "Items that only the first answered.",
    "left_out_arm": "Items that only the second answered.",
    "forced": "Why it would have been refused without --force; empty where it would not.",
}

_OF_DOMAIN = ("domain", "tasks", "difference", "standard_error", "interval")


def comparison_document(comparison: Comparison, command: str) -> Document:
    """Write a comparison: first the differences by task, then by domain and overall."""
    names = [arm.name for arm in comparison.arms]
    title = f"{names[1]} against {names[0]}" if len(names) == 2 else f"{len(names) - 1} models against {names[0]}"
    runs = sum(len(arm.models) for arm in comparison.arms)
    dose = [verdict(comparison.slopes, runs)] if comparison.slopes else []
    notes = [*_verdicts(comparison), *dose, *comparison.notes, _how(comparison)]
    tables = (_differences(comparison), _overall(comparison), _slopes(comparison))
    return Document(title=title, command=command, tables=tuple(t for t in tables if t.rows), notes=tuple(notes))


def _differences(comparison: Comparison) -> Table:
    names = [arm.name for arm in comparison.arms]
    several, seeds = len(names) > 2, len(comparison.arms[0].models) > 1
    meanings = MEANINGS | OF_SEEDS if seeds else MEANINGS
    columns = [
        *([Column(key="arm", heading="model", kind="text")] if several else []),
        Column(key="domain", heading="domain", kind="text", aside=True),
        Column(key="task", heading="task", kind="text"),
        Column(key="metric", heading="metric", kind="text", aside=True),
        Column(key="items", heading="n", kind="count", meaning=MEANINGS["n"]),
        Column(key="mean_baseline", heading=names[0], meaning="Mean of the first over these items."),
        Column(key="mean_arm", heading="value" if several else names[1], meaning="Mean of the second."),
        Column(key="difference", heading="difference", kind="difference", meaning=meanings["difference"]),
        Column(key="interval", heading="95% interval", kind="interval", meaning=meanings["interval"]),
        Column(key="p", heading="p", kind="p", meaning=meanings["p"]),
        Column(key="p_corrected", heading="p corr.", kind="p", meaning=MEANINGS["p_corrected"]),
    ]
    if seeds:
        columns.append(Column(key="seed_error", heading="s.e. of seeds", meaning="Part of the error due to seeds."))
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
    columns += [Column(key=key, heading=key, meaning=meaning, raw=True) for key, meaning in RAW.items()]
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
        Column(key="standard_error", heading="s.e.", meaning="Clustered, tasks taken as independent."),
        Column(
            key="interval", heading="95% interval", kind="interval", meaning="Joined from the tasks' own intervals."
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
        Column(key="slope", heading="slope", kind="difference", meaning="Change of the value for one unit of dose."),
        Column(key="standard_error", heading="s.e.", meaning="Over runs, from the scatter about the line."),
        Column(key="item_error", heading="s.e. of items", meaning="How much the slope hangs on these items."),
        Column(key="interval", heading="95% interval", kind="interval", meaning="Student's t, over runs."),
        Column(key="p", heading="p", kind="p", meaning="Doses permuted among the runs."),
        Column(key="p_corrected", heading="p corr.", kind="p", meaning="Corrected over the tasks of this table."),
    )
    names = [column.key for column in columns]
    rows = tuple(Row(cells={name: getattr(one, name) for name in names}) for one in comparison.slopes)
    return Table(key="slopes", title="Slope over the dose", columns=columns, rows=rows)


def _verdicts(comparison: Comparison) -> list[str]:
    """One sentence an arm: what is real, and what could not have been found."""
    told = []
    name = CORRECTION_NAMES[comparison.correction]
    for arm in comparison.arms[1:]:
        rows = [one for one in comparison.differences if one.arm == arm.name and one.p is not None]
        real = [one for one in rows if one.significant]
        what = f"a real difference on {len(real)} of {len(rows)} tasks" if real else "no difference that is surely real"
        listed = ": " + ", ".join(f"{one.task} ({one.difference:+.3f})" for one in real) if real else ""
        told.append(f"{arm.name} against {comparison.arms[0].name}: {what}{listed}, after {name}'s correction.")
        if not real:
            told[-1] += _together(comparison, arm.name)
        limits = [one.detectable for one in rows if one.detectable is not None and not one.significant]
        if limits:
            told[-1] += f" {undetectable(min(limits), max(limits))} would mostly be missed."
    return told


def undetectable(least: float, most: float) -> str:
    """What is too small to be found on the tasks, whose detectable differences are from `least` to `most`."""
    if math.isinf(least):
        return "With so few items any true difference"
    if math.isinf(most):
        return f"A true difference below {least:.3f}, and any on some tasks,"
    between = f"{least:.3f}" if f"{least:.3f}" == f"{most:.3f}" else f"{least:.3f} to {most:.3f}, by task,"
    return f"A true difference below {between}"


def _together(comparison: Comparison, arm: str) -> str:
    """Say so where all tasks together tell apart what no single one does; else the tables would seem to disagree."""
    whole = next((part for part in comparison.overall.get(arm, ()) if part.domain == OVERALL), None)
    if whole is None or whole.tasks < 2 or whole.interval[0] <= 0 <= whole.interval[1]:
        return ""
    low, high = whole.interval
    others = len(comparison.arms) - 1
    so_far = "one test, which needs no correction" if others == 1 else f"not corrected for {others} models"
    return (
        f" All {whole.tasks} tasks together ({so_far}) do differ: overall {whole.difference:+.3f}, {low:+.3f} to "
        f"{high:+.3f}."
    )


def _how(comparison: Comparison) -> str:
    shown, tests = sum(one.p is not None for one in comparison.differences), comparison.tests
    pairs = ", every pair of models on every task, since the first was chosen by these numbers" if tests > shown else ""
    return (
        f"p corr. is corrected for {tests} {'test' if tests == 1 else 'tests'}{pairs} "
        f"({CORRECTION_NAMES[comparison.correction]}), each interval is of its row alone; gained and lost are items; "
        "detectable is the smallest true difference that p, before correction, would find 4 times out of 5. "
        "Definitions: docs/statistics.md."
    )
