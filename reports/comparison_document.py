"""A comparison in tables and sentences, the same for the terminal, Markdown, CSV, JSON, LaTeX and HTML."""

from __future__ import annotations

from typing import Any

from harness.stats import AGGREGATE
from reports.differences import OVERALL, Comparison, TaskDifference
from reports.tables import Column, Document, Row, Table

CORRECTION_NAMES = {"holm": "Holm", "bh": "Benjamini-Hochberg"}

MEANINGS = {
    "n": "Items that both answered, paired by the digest of the document.",
    "difference": "Mean of the second less mean of the first, over the same items.",
    "interval": "95% interval of the difference: Tango's for right/wrong answers, Student's t for others; clustered.",
    "p": "Two-sided, mid-p variant of McNemar's exact or the sign-flip test; clusters flip together.",
    "p_corrected": "p corrected for having looked at every test of this document.",
    "detectable": "Smallest true difference that this comparison would find 4 times out of 5.",
    "gained": "Items on which the second is better.",
    "lost": "Items on which the first is better.",
    "conclusion": "Non-inferiority: whether a loss of the margin or more can be ruled out (one-sided, 5%).",
    "overall": f"Chance-centred mean over domains ({AGGREGATE}): 0 is guessing, 1 is perfect.",
}

_OF_DOMAIN = ("domain", "tasks", "difference", "standard_error", "interval")


def comparison_document(comparison: Comparison, command: str) -> Document:
    """Write a comparison: first the differences by task, then by domain and overall."""
    names = [arm.name for arm in comparison.arms]
    title = f"{names[1]} against {names[0]}" if len(names) == 2 else f"{len(names) - 1} models against {names[0]}"
    notes = [*_verdicts(comparison), *comparison.notes, _how(comparison)]
    tables = (_differences(comparison), _overall(comparison))
    return Document(title=title, command=command, tables=tuple(t for t in tables if t.rows), notes=tuple(notes))


def _differences(comparison: Comparison) -> Table:
    names = [arm.name for arm in comparison.arms]
    several, seeds = len(names) > 2, len(comparison.arms[0].models) > 1
    columns = [
        *([Column(key="arm", heading="model", kind="text")] if several else []),
        Column(key="domain", heading="domain", kind="text", aside=True),
        Column(key="task", heading="task", kind="text"),
        Column(key="metric", heading="metric", kind="text", aside=True),
        Column(key="items", heading="n", kind="count", meaning=MEANINGS["n"]),
        Column(key="mean_baseline", heading=names[0], meaning="Mean of the first over these items."),
        Column(key="mean_arm", heading="value" if several else names[1], meaning="Mean of the second."),
        Column(key="difference", heading="difference", kind="difference", meaning=MEANINGS["difference"]),
        Column(key="interval", heading="95% interval", kind="interval", meaning=MEANINGS["interval"]),
        Column(key="p", heading="p", kind="p", meaning=MEANINGS["p"]),
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
    }


def _tone(one: TaskDifference) -> Any:
    return "warning" if any(one.failed) or one.warnings else "strong" if one.significant else "muted"


def _overall(comparison: Comparison) -> Table:
    several = len(comparison.arms) > 2
    columns = (
        *([Column(key="arm", heading="model", kind="text")] if several else []),
        Column(key="domain", heading="chance-centred", kind="text", meaning=MEANINGS["overall"]),
        Column(key="tasks", heading="tasks", kind="count"),
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
        limits = [one.detectable for one in rows if one.detectable is not None and not one.significant]
        if limits:
            least, most = f"{min(limits):.3f}", f"{max(limits):.3f}"
            between = least if least == most else f"{least} to {most}, by task,"
            told[-1] += f" A true difference below {between} would mostly be missed."
    return told


def _how(comparison: Comparison) -> str:
    tests = sum(one.p is not None for one in comparison.differences)
    return (
        f"p corr. is corrected for {tests} {'test' if tests == 1 else 'tests'} "
        f"({CORRECTION_NAMES[comparison.correction]}); gained and lost are items; detectable is the smallest true "
        "difference found 4 times out of 5. Definitions: docs/statistics.md."
    )
