"""A comparison as tables and sentences, the same for the terminal, Markdown, CSV, JSON, LaTeX and HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from harness.reports.analysis.differences import OVERALL, Comparison, DomainDifference, TaskDifference
from harness.reports.analysis.dose import verdict
from harness.reports.analysis.metric import Direction, direction, directions, judgement, with_judgement
from harness.reports.documents.captions import comparison_caption, overall_caption, slopes_caption
from harness.reports.documents.tables import Column, Document, Row, Table
from harness.stats import AGGREGATE
from harness.wording import counted

MOST_HEADLINES = 3
CORRECTION_NAMES = {"holm": "Holm", "bh": "Benjamini-Hochberg"}

MEANINGS = {
    "n": "Items that both answered, paired by the digest of their document.",
    "difference": "Mean of the model minus mean of the baseline, over the same items.",
    "interval": "95% interval of the difference: Tango's for right/wrong answers, Student's t for others; clustered.",
    "p": "Two-sided: mid-p variant of McNemar's exact test or of the sign-flip test; clusters flip together.",
    "p_corrected": "p corrected for all tests of this document: overall is tested first, then its tasks.",
    "detectable": "True difference for which the test, before correction, has 80% power.",
    "detectable_corrected": "True difference for which the test has 80% power after correction.",
    "gained": "Items on which the model is better than the baseline.",
    "lost": "Items on which the baseline is better than the model.",
    "conclusion": "Non-inferiority: whether a loss of the margin or more can be ruled out (one-sided, 5%, corrected).",
    "overall_conclusion": "Non-inferiority: whether a mean loss of the margin or more can be ruled out (one-sided, 5%, "
    "corrected with the tasks). The margin of an accuracy is divided by 1 - chance, as its difference is. With one "
    "task, see the row of the task.",
    "mean_difference": "Mean of the tasks' differences; variants of the same items are averaged first.",
    "mean_error": "Clustered; variants of the same items are correlated, other tasks are independent. Like the "
    "difference, that of an accuracy is divided by 1 - chance.",
    "plain": "Mean over domains of the differences; of accuracies, chance-centred.",
    "overall": f"Chance-centred mean over domains ({AGGREGATE}): 0 is guessing, 1 is perfect.",
}

SEED_MEANINGS = {
    "difference": "Mean of the recipe's runs minus mean of the baseline's runs, over the same items.",
    "interval": "95% interval of the difference: Student's t, with the error of items and runs.",
    "p": "Two-sided: Student's t, the difference over its standard error of items and runs.",
    "seed_error": "Part of the standard error that comes from seeds.",
}

P_OF_MARGIN = "margin_p_corrected"
RAW_MEANINGS = {
    "baseline": "The model or recipe compared with.",
    "standard_error": "Standard error of the difference, clustered; with several seeds, of items and seeds together.",
    "clusters": "Number of clusters of the items.",
    "p_exact": "p of McNemar's exact test or of the sign-flip test, not mid-p.",
    "detectable_corrected": MEANINGS["detectable_corrected"],
    P_OF_MARGIN: "p of the non-inferiority test, corrected over all tasks and overall values (Hochberg).",
    "items_from": "Name of the items; variants of one benchmark share it.",
    "failed_baseline": "Requests of the baseline without an answer.",
    "failed_arm": "Requests of the model without an answer.",
    "left_out_baseline": "Items that only the baseline answered.",
    "left_out_arm": "Items that only the model answered.",
    "forced": "Why this comparison would be refused without --force; empty if it would not.",
}

OVERALL_CONCLUSIONS = {
    "non-inferior": "Overall, such a loss is ruled out.",
    "inferior": "Overall, a larger loss is shown.",
    "inconclusive": "Overall, such a loss is not ruled out.",
}

_OF_DOMAIN = (
    "domain", "tasks", "difference", "standard_error", "seed_error", "interval", "p", "p_corrected", "detectable",
)  # fmt: skip


def comparison_document(comparison: Comparison, command: str) -> Document:
    """Return the document of a comparison: differences by task, then by domain and overall, then slopes over a dose."""
    names = [arm.name for arm in comparison.arms]
    title = f"{names[1]} against {names[0]}" if len(names) == 2 else f"{len(names) - 1} models against {names[0]}"
    runs = sum(len(arm.models) for arm in comparison.arms)
    models = [model for arm in comparison.arms for model in arm.models]
    dose = [verdict(comparison.slopes, runs, directions(models))] if comparison.slopes else []
    results, margins = _results(comparison), _margin_results(comparison)
    headlines = [*results[:MOST_HEADLINES], *(margins if len(names) == 2 else ()), *dose]
    further = [*results[MOST_HEADLINES:], *(margins if len(names) > 2 else ())]
    notes = [*headlines, *further, *comparison.notes, _methods_note(comparison)]
    tables: tuple[Table, ...] = (_differences(comparison), _overall(comparison), _slopes(comparison))
    tables = tuple(table for table in tables if table.rows)
    return Document(
        title=f"{title}{direction(models)}",
        command=command,
        tables=tables,
        notes=tuple(notes),
        caveats=comparison.caveats,
        agreements=comparison.agreements,
        n_headlines=len(headlines),
    )


def _differences(comparison: Comparison) -> Table:
    names = [arm.name for arm in comparison.arms]
    several, seeds = len(names) > 2, len(comparison.arms[0].models) > 1
    meanings = MEANINGS | SEED_MEANINGS if seeds else MEANINGS
    columns = [
        *([Column(key="arm", place="name", heading="model", kind="text", above_rows=True)] if several else []),
        Column(key="domain", place="aside", heading="domain", kind="text"),
        Column(key="task", place="name", heading="task", kind="text"),
        Column(key="metric", place="aside", heading="metric", kind="text"),
        Column(key="items", heading="n", kind="count", meaning=MEANINGS["n"]),
        Column(key="mean_baseline", heading=names[0], meaning="Mean of the baseline over these items."),
        Column(
            key="mean_arm",
            place="last",
            heading="value" if several else names[1],
            meaning="Mean of the model over these items.",
        ),
        Column(key="difference", place="keep", heading="difference", kind="difference", meaning=meanings["difference"]),
        Column(key="interval", place="keep", heading="95% interval", kind="interval", meaning=meanings["interval"]),
        Column(key="p", heading="p", kind="p", meaning=meanings["p"]),
        Column(key="p_corrected", place="keep", heading="p corr.", kind="p", meaning=MEANINGS["p_corrected"]),
    ]
    if seeds:
        columns += [
            Column(key="seed_error", heading="s.e. of seeds", meaning=SEED_MEANINGS["seed_error"]),
            Column(key="detectable", heading="detectable", meaning=MEANINGS["detectable"]),
        ]
    else:
        columns += [
            Column(key="detectable", heading="detectable", meaning=MEANINGS["detectable"]),
            Column(key="gained", heading="gained", kind="count", meaning=MEANINGS["gained"]),
            Column(key="lost", heading="lost", kind="count", meaning=MEANINGS["lost"]),
        ]
    if comparison.margin is not None:
        columns += _margin_columns(comparison, MEANINGS["conclusion"])
    columns += [Column(key=key, heading=key, meaning=meaning, raw=True) for key, meaning in RAW_MEANINGS.items()]
    rows = tuple(Row(cells=_cells(one), tone=_tone(one)) for one in comparison.differences)
    return Table(
        key="differences",
        title="Difference by task",
        columns=tuple(columns),
        rows=rows,
        caption=comparison_caption(comparison),
    )


def _margin_columns(comparison: Comparison, meaning: str) -> tuple[Column, ...]:
    """Return the columns of the non-inferiority test."""
    heading = f"margin {comparison.margin:g}"
    return (
        Column(key="conclusion", place="keep", heading=heading, kind="text", meaning=meaning),
        Column(key="margin_p", place="aside", heading="its p", kind="p", meaning=meaning),
    )


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
        "detectable_corrected": one.detectable_corrected,
        "margin_p_corrected": one.margin_p_corrected,
        "items_from": one.items_from,
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
    several, seeds = len(comparison.arms) > 2, len(comparison.arms[0].models) > 1
    interval = (
        "Student's t, with the error of items and runs." if seeds else "Combined from the intervals of the tasks."
    )
    scale = "domain" if comparison.any_scale else "chance-centred"
    concluded = any(part.conclusion for parts in comparison.overall.values() for part in parts)
    columns = (
        *([Column(key="arm", place="name", heading="model", kind="text", above_rows=True)] if several else []),
        Column(
            key="domain",
            place="name",
            heading=scale,
            kind="text",
            meaning=MEANINGS["plain" if comparison.any_scale else "overall"],
        ),
        Column(key="tasks", heading="tasks", kind="count", meaning="Tasks of the domain that both ran."),
        Column(
            key="difference", place="keep", heading="difference", kind="difference", meaning=MEANINGS["mean_difference"]
        ),
        Column(key="standard_error", heading="s.e.", meaning=MEANINGS["mean_error"]),
        *([Column(key="seed_error", heading="s.e. of seeds", meaning=SEED_MEANINGS["seed_error"])] if seeds else []),
        Column(key="interval", place="keep", heading="95% interval", kind="interval", meaning=interval),
        Column(key="p", heading="p", kind="p", meaning="Two-sided; agrees with the interval. Domains are not tested."),
        Column(key="p_corrected", place="keep", heading="p corr.", kind="p", meaning=MEANINGS["p_corrected"]),
        Column(key="detectable", heading="detectable", meaning=MEANINGS["detectable_corrected"]),
        *(_margin_columns(comparison, MEANINGS["overall_conclusion"]) if concluded else ()),
        *(
            [Column(key=P_OF_MARGIN, heading=P_OF_MARGIN, meaning=RAW_MEANINGS[P_OF_MARGIN], raw=True)]
            if concluded
            else ()
        ),
    )
    of_margin = ("conclusion", "margin_p", P_OF_MARGIN) if concluded else ()
    rows = [
        Row(
            cells={"arm": arm} | {name: _shown(getattr(part, name)) for name in (*_OF_DOMAIN, *of_margin)},
            tone="strong" if part.significant else "",
        )
        for arm, parts in comparison.overall.items()
        for part in parts
    ]
    return Table(
        key="overall",
        title="Difference by domain and overall",
        columns=columns,
        rows=tuple(rows),
        caption=overall_caption(comparison),
    )


def _shown(value: Any) -> Any:
    """Return a cell: None for NaN and for no conclusion; a p so small that it is 0 stays 0."""
    return None if value == "" or (isinstance(value, float) and math.isnan(value)) else value


def _slopes(comparison: Comparison) -> Table:
    columns = (
        Column(key="domain", place="aside", heading="domain", kind="text"),
        Column(key="task", place="name", heading="task", kind="text"),
        Column(key="items", heading="n", kind="count", meaning="Items that every run answered."),
        Column(key="runs", heading="runs", kind="count", meaning="Training runs."),
        Column(
            key="slope",
            place="keep",
            heading="slope",
            kind="difference",
            meaning="Change of the value per unit of the dose.",
        ),
        Column(key="standard_error", heading="s.e.", meaning="Over runs, from their scatter about the line."),
        Column(
            key="item_error",
            heading="s.e. of items",
            meaning="How much the slope would typically change with other items.",
        ),
        Column(key="interval", place="keep", heading="95% interval", kind="interval", meaning="Student's t over runs."),
        Column(key="p", heading="p", kind="p", meaning="Permutes the doses among the runs."),
        Column(
            key="p_corrected",
            place="keep",
            heading="p corr.",
            kind="p",
            meaning="Corrected over the tasks of this table.",
        ),
    )
    names = [column.key for column in columns]
    rows = tuple(Row(cells={name: getattr(one, name) for name in names}) for one in comparison.slopes)
    return Table(
        key="slopes", title="Slope over the dose", columns=columns, rows=rows, caption=slopes_caption(comparison)
    )


def _results(comparison: Comparison) -> list[str]:
    """Return the result per arm, those that differ first: which differences are real, and which could not be found."""
    results = []
    for arm in comparison.arms[1:]:
        rows = [one for one in comparison.differences if one.arm == arm.name and one.p is not None]
        tested = [part for part in comparison.overall.get(arm.name, ()) if part.p_corrected is not None]
        parts = [part for part in tested if part.tasks > 1]
        result = " ".join(
            [*(_overall_result(part, rows) for part in parts), _tasks_result(rows, comparison.correction)]
        )
        limits = [one.detectable for one in rows if one.detectable is not None and not one.significant]
        power = f" {low_power(min(limits), max(limits))}" if limits else ""
        differs = any(one.significant for one in rows) or any(part.significant for part in parts)
        results.append((not differs, f"{arm.name} against {comparison.arms[0].name}: {result}{power}"))
    return [sentence for _, sentence in sorted(results, key=lambda pair: pair[0])]


def _overall_result(part: DomainDifference, rows: Sequence[TaskDifference]) -> str:
    """Return a sentence on all tasks together, or on those of a control domain; `rows` are those of the same arm."""
    what = f"all {part.tasks} tasks together" if part.domain == OVERALL else f"the {part.tasks} {part.domain} tasks"
    judged = judgement(part.difference, [_metric(one) for one in rows if one.task in part.names])
    interval = f"{part.interval[0]:+.3f} to {part.interval[1]:+.3f}" if part.interval else ""
    beside = "; ".join(words for words in (judged if part.significant else "", interval) if words)
    ends = f" ({beside})" if beside else ""
    verb = "differ" if part.significant else "do not differ significantly"
    return f"{what} {verb}: {part.difference:+.3f}{ends}."


def _metric(one: TaskDifference) -> Direction:
    return one.metric.partition(",")[0], one.higher_is_better


def _tasks_result(rows: Sequence[TaskDifference], correction: str) -> str:
    if not rows:
        return "no task could be tested; the notes say why."
    name = CORRECTION_NAMES[correction]
    significant = [one for one in rows if one.significant]
    if not significant:
        return f"no difference survives {name}'s correction." if len(rows) == 1 else (
            f"On single tasks, no difference survives {name}'s correction."
        )  # fmt: skip
    listed = ", ".join(f"{one.task} ({with_judgement(one.difference, [_metric(one)])})" for one in significant)
    differ = "differs" if len(significant) == 1 else "differ"
    return f"{len(significant)} of {counted(len(rows), 'task')} {differ} after {name}'s correction: {listed}."


def _margin_results(comparison: Comparison) -> list[str]:
    if comparison.margin is None:
        return []
    return [sentence for arm in comparison.arms[1:] for sentence in _margin_result(arm.name, comparison)]


def _margin_result(arm: str, comparison: Comparison) -> list[str]:
    """Return what the margin shows for all tasks together; a row is a claim of its own, corrected for any false one."""
    rows = [one for one in comparison.differences if one.arm == arm and one.margin_p is not None]
    if len(rows) < 2:
        return []
    margin, safe = f"{comparison.margin:g}", sum(one.conclusion == "non-inferior" for one in rows)
    harmed = [one.task for one in rows if one.conclusion == "inferior"]
    loss = f" A larger loss is shown on {', '.join(harmed)}." if harmed else ""
    overall = next((part for part in comparison.overall.get(arm, ()) if part.conclusion), None)
    together = f" {OVERALL_CONCLUSIONS[overall.conclusion]}" if overall is not None else ""
    if safe == len(rows):
        return [f"{arm}: a loss of {margin} or more is ruled out on all {safe} tasks.{together}"]
    return [
        f"{arm}: a loss of {margin} or more is ruled out on {safe} of {len(rows)} tasks, so not on all of them. The "
        f"conclusions are corrected, so that a loss is seldom ruled out falsely (5%).{loss}{together}"
    ]


def low_power(least: float, most: float) -> str:
    """Return a sentence on how large a true difference must be to be found.

    Args:
        least: Smallest detectable difference of any task.
        most: Largest detectable difference of any task; infinite when a task can detect none.
    """
    if math.isinf(least):
        return "No possible difference has 80% power."
    sizes = f"{least:.3f}" if f"{least:.3f}" == f"{most:.3f}" else f"{least:.3f} to {most:.3f}, depending on the task"
    if math.isinf(most):
        sizes = f"{least:.3f}, and on some tasks no possible difference has it"
    return f"80% power needs a true difference of {sizes}."


def _methods_note(comparison: Comparison) -> str:
    n_tests = comparison.tests
    if not n_tests:
        return "Definitions: docs/statistics.md."
    shown = sum(one.p is not None for one in comparison.differences)
    shown += sum(part.p is not None and part.tasks > 1 for parts in comparison.overall.values() for part in parts)
    pairs = ", every pair of models, because the baseline was chosen by these values" if n_tests > shown else ""
    centred = (
        " By domain and overall, differences and errors of accuracies are divided by 1 - chance, so they are larger "
        "than by task."
        if any(one.chance for one in comparison.differences) and any(comparison.overall.values())
        else ""
    )
    gate = "; overall is tested first, then its tasks" if _is_gated(comparison) else ""
    return (
        f"p corr. is corrected for {counted(n_tests, 'test')}{pairs} "
        f"({CORRECTION_NAMES[comparison.correction]}{gate}); intervals are not adjusted for multiple tests. gained and "
        "lost count items. detectable is the true difference for which the test has 80% power: of a task before "
        f"correction, of overall after it.{centred} Definitions: docs/statistics.md."
    )


def _is_gated(comparison: Comparison) -> bool:
    tested = [part for parts in comparison.overall.values() for part in parts if part.p is not None]
    return comparison.correction == "holm" and any(part.tasks > 1 for part in tested)
