"""A factorial analysis as tables and sentences, the same in all formats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.reports.analysis.contrasts import EXPLORATORY, INTERACTION, PRIMARY, is_two_by_two, main_factors
from harness.reports.analysis.counting import counted
from harness.reports.analysis.differences import OVERALL
from harness.reports.analysis.factorial import SECONDARY, ContrastRow, FactorialAnalysis
from harness.reports.analysis.metric import Direction, direction, directions, judgement, with_judgement
from harness.reports.documents.captions import arms_caption, factorial_caption
from harness.reports.documents.tables import Column, Document, Row, Table
from harness.stats import AGGREGATE
from harness.stats.clustered import FEW_CLUSTERS as FEWEST_CLUSTERS
from harness.stats.factorial import BINOMIAL, WILD

SIGNAL_CAPTION = (
    "Signal: largest difference between two runs; noise: standard deviation over late checkpoints; both divided by the "
    "mean (arXiv 2508.13144). Nothing is tested here."
)
COVERS = {"plots": "items, runs", "runs": "items, tuning runs", "none": "items only"}
FEW_ITEMS, FEW_CLUSTERS, FEW_RUNS = 60, 20, 3

MEANINGS = {
    "family": "The tests that are corrected together. Primary: main effects and interaction, overall. Secondary: the "
    "same by task. Exploratory: all others.",
    "estimate": "Weighted sum of cell means: on the task's scale; chance-centred for overall and control domains.",
    "estimate_of_metric": "Weighted sum of cell means, in the metric's units; for overall and control domains the "
    "mean over domains; of accuracies, chance-centred.",
    "interval": "95% interval: Student's t with the standard error and its degrees of freedom; wider in few clusters.",
    "se": "Standard error: of items and training runs together.",
    "se_items": "Part of the standard error that comes from the items; more items reduce it.",
    "se_seeds": "Part that comes from training runs; more runs reduce it. Missing if it cannot be estimated.",
    "df": "Satterthwaite's degrees of freedom of the standard error.",
    "p": "Two-sided, by the same test as the interval.",
    "p_corrected": "Holm over the family; several levels against one reference by Dunnett first.",
    "mde": "Smallest true effect that this test, before correction, finds with 80% power; inf if no possible effect is "
    "found.",
    "mde_corrected": "The same at the level of Holm's first step: 5% divided by the number of sets in the family, and "
    "within a set of several levels by their number.",
    "covers": "What interval and p cover. 'items only' and 'items, tuning runs' hold for these very runs, not for "
    "others of the recipe.",
}


def factorial_document(analysis: FactorialAnalysis, command: str) -> Document:
    """Return the document of an analysis: contrasts, the cells of the design, and signal and noise if known."""
    factors = ", ".join(analysis.study.factors)
    models = [model for run in analysis.study.runs for model in run.checkpoints]
    tables = (_contrasts(analysis), _arms(analysis), _signals(analysis))
    primary = _primary_results(analysis)
    notes = [*primary, *_secondary_result(analysis), *_limits(analysis), *analysis.notes, *_letters(analysis)]
    notes += [*_main_tests(analysis), _methods(analysis)]
    return Document(
        title=f"Factorial study: {factors}{direction(models)}",
        command=command,
        tables=tuple(table for table in tables if table.rows),
        notes=tuple(notes),
        caveats=(*_single_runs(analysis), *analysis.caveats),
        agreements=analysis.agreements,
        n_headlines=len(primary),
    )


def _contrasts(analysis: FactorialAnalysis) -> Table:
    estimate = "estimate_of_metric" if analysis.any_scale else "estimate"
    columns = (
        Column(key="family", place="aside", heading="family", kind="text", meaning=MEANINGS["family"]),
        Column(key="task", place="name", heading="task", kind="text"),
        Column(key="contrast", place="name", heading="contrast", kind="text"),
        Column(key="estimate", place="keep", heading="estimate", kind="difference", meaning=MEANINGS[estimate]),
        Column(key="interval", place="keep", heading="95% interval", kind="interval", meaning=MEANINGS["interval"]),
        # A narrow terminal leaves out the parts of the error, which are on the right, before the whole of it.
        Column(key="se", heading="s.e.", meaning=MEANINGS["se"]),
        Column(key="se_seeds", heading="s.e. of runs", meaning=MEANINGS["se_seeds"]),
        Column(key="se_items", heading="s.e. of items", meaning=MEANINGS["se_items"]),
        Column(key="df", place="aside", heading="df", kind="points", meaning=MEANINGS["df"]),
        Column(key="p", heading="p", kind="p", meaning=MEANINGS["p"]),
        Column(key="p_corrected", place="keep", heading="p corr.", kind="p", meaning=MEANINGS["p_corrected"]),
        Column(key="mde", place="last", heading="detectable", meaning=MEANINGS["mde"]),
        Column(key="mde_corrected", heading="detectable corr.", meaning=MEANINGS["mde_corrected"]),
        Column(key="covers", place="aside", heading="covers", kind="text", meaning=MEANINGS["covers"]),
        Column(key="low", heading="low", meaning="Lower end of the interval.", raw=True),
        Column(key="high", heading="high", meaning="Upper end of the interval.", raw=True),
        Column(
            key="method",
            heading="method",
            meaning="student-t; wild in fewer than ten clusters; binomial where few items differ.",
            raw=True,
        ),
        Column(key="p_dunnett", heading="p_dunnett", meaning="p corrected for the levels of a factor.", raw=True),
        Column(key="meaning", heading="meaning", meaning="What the contrast compares.", raw=True),
        Column(key="domain", heading="domain", raw=True),
        Column(key="items", heading="items", raw=True),
        Column(key="clusters", heading="clusters", meaning="Independent clusters of items.", raw=True),
        Column(key="runs", heading="runs", meaning="Training runs in the contrast.", raw=True),
    )
    rows = tuple(Row(cells=_cells(row), tone="strong" if row.significant else "muted") for row in analysis.rows)
    return Table(key="contrasts", title="Contrasts", columns=columns, rows=rows, caption=factorial_caption(analysis))


def _cells(row: ContrastRow) -> dict[str, Any]:
    one = row.estimate
    return {
        "family": row.family,
        "task": row.task,
        "contrast": row.spec.name,
        "estimate": one.estimate,
        "interval": None if math.isnan(one.low) else (one.low, one.high),
        "se": one.se,
        "se_items": one.se_items,
        "se_seeds": one.se_seeds,
        "df": one.df,
        "p": one.p,
        "p_corrected": row.p_corrected,
        "mde": one.mde,
        "mde_corrected": row.mde_corrected,
        "covers": COVERS[one.units],
        "low": one.low,
        "high": one.high,
        "method": one.method,
        "p_dunnett": row.p_dunnett,
        "meaning": row.spec.meaning,
        "domain": row.domain,
        "items": row.items,
        "clusters": row.clusters,
        "runs": row.runs,
    }


def _arms(analysis: FactorialAnalysis) -> Table:
    factors = list(analysis.study.factors)
    overall = f"Chance-centred mean over domains ({AGGREGATE})."
    if analysis.any_scale:
        overall = "Mean over domains, in the metric's units; of accuracies, chance-centred."
    columns = (
        Column(key="arm", place="name", heading="arm", kind="text"),
        *(Column(key=f"level_{name}", heading=name, kind="text") for name in factors),
        Column(key="runs", heading="runs", kind="count", meaning="Training runs."),
        Column(key="plots", heading="pre-training runs", kind="count", meaning="Runs that they were made from."),
        Column(key="mean", place="keep", heading=OVERALL, meaning=overall),
    )
    rows = tuple(
        Row(
            cells={
                "arm": arm.name,
                **{f"level_{name}": level for name, level in zip(factors, arm.cell, strict=True)},
                "runs": arm.runs,
                "plots": arm.plots,
                "mean": arm.mean,
            }
        )
        for arm in analysis.arms
    )
    return Table(key="arms", title="Arms", columns=columns, rows=rows, caption=arms_caption(analysis))


def _signals(analysis: FactorialAnalysis) -> Table:
    columns = (
        Column(key="task", place="name", heading="task", kind="text"),
        Column(key="signal", heading="signal", meaning="Largest difference between two runs, divided by their mean."),
        Column(key="noise", heading="noise", meaning="Standard deviation over late checkpoints, divided by the mean."),
        Column(
            key="ratio",
            place="keep",
            heading="ratio",
            meaning="Signal / noise (arXiv 2508.13144); higher is more reliable.",
        ),
        Column(key="checkpoints", heading="checkpoints", kind="count", meaning="Late checkpoints, over all runs."),
    )
    rows = tuple(
        Row(
            cells={
                "task": task,
                "signal": one.signal,
                "noise": one.noise,
                "ratio": one.ratio,
                "checkpoints": one.checkpoints,
            }
        )
        for task, one in sorted(analysis.signals.items(), key=lambda pair: -pair[1].ratio)
    )
    title = "Signal and noise over late checkpoints"
    return Table(key="signal", title=title, columns=columns, rows=rows, caption=SIGNAL_CAPTION)


def _primary_results(analysis: FactorialAnalysis) -> list[str]:
    """Return a sentence per contrast, or set of comparisons, of the primary family; those that differ first."""
    sets = _by_set([row for row in analysis.rows if row.family == PRIMARY])
    metrics = _metrics(analysis)
    return [
        _result_of(rows, metrics) for rows in sorted(sets, key=lambda rows: not any(row.significant for row in rows))
    ]


def _secondary_result(analysis: FactorialAnalysis) -> list[str]:
    secondary = [row for row in analysis.rows if row.family == SECONDARY and row.p_corrected is not None]
    if not secondary:
        return []
    metrics = _metrics(analysis)
    found = [f"{row.task} {row.spec.name} ({_judged(row, metrics)})" for row in secondary if row.significant]
    listed = f": {', '.join(found)}" if found else ""
    differ = "differs" if len(found) == 1 else "differ"
    return [f"By task, {len(found)} of {len(secondary)} main effects and interactions {differ}{listed}."]


def _metrics(analysis: FactorialAnalysis) -> dict[str, Direction]:
    return directions([model for run in analysis.study.runs for model in run.checkpoints])


def _metrics_of(row: ContrastRow, metrics: Mapping[str, Direction]) -> list[Direction]:
    """Return those of its task, or of all tasks; none for an interaction, which is neither better nor worse."""
    if row.spec.name.startswith(INTERACTION):
        return []
    return [metrics[row.task]] if row.task in metrics else list(metrics.values())


def _judged(row: ContrastRow, metrics: Mapping[str, Direction]) -> str:
    return with_judgement(row.estimate.estimate, _metrics_of(row, metrics))


def _by_set(rows: Sequence[ContrastRow]) -> list[list[ContrastRow]]:
    """Return the rows by the set that Dunnett's p corrects together; a single contrast is a set of its own."""
    sets: dict[str, list[ContrastRow]] = {}
    for row in rows:
        sets.setdefault(row.spec.factor or f"contrast {row.spec.name}", []).append(row)
    return list(sets.values())


def _result_of(rows: Sequence[ContrastRow], metrics: Mapping[str, Direction]) -> str:
    """Return a sentence on one primary contrast, or on all comparisons of a set."""
    row, one = rows[0], rows[0].estimate
    if row.spec.factor:
        found = [f"{other.spec.name} ({_judged(other, metrics)})" for other in rows if other.significant]
        listed = f": {', '.join(found)}" if found else ""
        differ = "differs" if len(found) == 1 else "differ"
        compared = counted(len(rows), "comparison")
        return f"{row.spec.factor}, overall: {len(found)} of {compared} {differ} from 0{listed}."
    if row.p_corrected is None:
        verdict = "no test, because all items and runs agree, and the metric has no limits."
    elif row.significant:
        judged = judgement(one.estimate, _metrics_of(row, metrics))
        verdict = f"differs from 0{f' ({judged})' if judged else ''}."
    else:
        verdict = f"does not differ significantly from 0. {power_of_effects(one.mde, row.mde_corrected or math.inf)}"
    interval = "" if math.isnan(one.low) else f"95% interval {one.low:+.3f} to {one.high:+.3f}"
    p = "" if row.p_corrected is None else f", corrected p {_p(row.p_corrected)}"
    return f"{row.spec.name}, overall: {one.estimate:+.3f} ({interval or 'no interval'}{p}): {verdict}"


def power_of_effects(before: float, after: float) -> str:
    """Return a sentence on the effects found before and after correction; infinite ones are not possible."""
    if math.isinf(before):
        return "No possible effect has 80% power."
    rest = "no possible effect has it" if math.isinf(after) else f"{after:.3f}"
    return f"80% power needs a true effect of {before:.3f}{'; ' if math.isinf(after) else ', '}after correction {rest}."


def _p(value: float) -> str:
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def _single_runs(analysis: FactorialAnalysis) -> list[str]:
    """Return a caution per factor whose effect cannot be separated from single runs."""
    rows = {row.spec.factor or row.spec.name: row for row in reversed(analysis.rows)}
    return [
        f"{name}: some arm has a single run, so its effect cannot be separated from that run. Its interval and p cover "
        "items only."
        for name in main_factors(analysis.study.factors)
        if name in rows and rows[name].estimate.units == "none" and not _is_of_one_plot(analysis, name)
    ]


def _is_of_one_plot(analysis: FactorialAnalysis, name: str) -> bool:
    return _varies_between_plots(analysis, name) and _one_plot_in_some_level(analysis, name)


def _limits(analysis: FactorialAnalysis) -> list[str]:
    """Return what the design cannot show."""
    notes = []
    rows = {row.spec.factor or row.spec.name: row for row in reversed(analysis.rows)}
    for name in main_factors(analysis.study.factors):
        row = rows.get(name)
        if row is None or row.estimate.units == "plots":
            continue
        if _is_of_one_plot(analysis, name):
            notes.append(
                f"{name}: one pre-training run per level, so the main effect cannot be separated from that run. Its "
                f"interval and p cover {COVERS[row.estimate.units]}."
            )
        elif row.estimate.units != "none":
            notes.append(f"{name}: interval and p hold for these pre-training runs; tuning runs are covered.")
    wild = sorted({row.task for row in analysis.rows if row.estimate.method == WILD})
    if wild:
        notes.append(
            f"Fewer than {FEWEST_CLUSTERS} clusters ({', '.join(wild)}): p and interval are the more cautious of "
            "Student's t and a wild cluster bootstrap with Webb weights, in which training runs add their variance. "
            "Overall values of several tasks use Student's t alone; fewer clusters give fewer degrees of freedom."
        )
    tied = sorted({row.task for row in analysis.rows if row.estimate.method == BINOMIAL})
    if tied:
        notes.append(
            f"Few items differ ({', '.join(tied)}): interval and p use the exact binomial bound for so many items, "
            "where it is wider than the standard error allows for."
        )
    small = _small(analysis)
    if small:
        notes.append(
            f"Small design ({'; '.join(small)}): tests reject less often than 5% and intervals are wide. Add runs or "
            "items; `harness power` says how many."
        )
    return notes


def _varies_between_plots(analysis: FactorialAnalysis, name: str) -> bool:
    at = list(analysis.study.factors).index(name)
    levels: dict[str, set[str]] = {}
    for run in analysis.study.runs:
        levels.setdefault(run.plot, set()).add(run.cell[at])
    return all(len(one) == 1 for one in levels.values())


def _one_plot_in_some_level(analysis: FactorialAnalysis, name: str) -> bool:
    at = list(analysis.study.factors).index(name)
    plots: dict[str, set[str]] = {}
    for run in analysis.study.runs:
        plots.setdefault(run.cell[at], set()).add(run.plot)
    return any(len(one) == 1 for one in plots.values())


def _small(analysis: FactorialAnalysis) -> list[str]:
    tasks = {row.task: row for row in analysis.rows if row.task != OVERALL}
    few_items = sorted(name for name, row in tasks.items() if row.items < FEW_ITEMS or row.clusters < FEW_CLUSTERS)
    few = min(arm.plots for arm in analysis.arms)
    reasons = [f"fewer than {FEW_ITEMS} items or {FEW_CLUSTERS} clusters: {', '.join(few_items)}"] if few_items else []
    return [*reasons, *([f"{counted(few, 'pre-training run')} in some arm"] if few < FEW_RUNS else [])]


def _letters(analysis: FactorialAnalysis) -> list[str]:
    factors = analysis.study.factors
    if not is_two_by_two(factors):
        return []
    pairs = " and ".join(f"{name} ({factors[name][0]} N, {factors[name][1]} C)" for name in main_factors(factors))
    return [f"Arms: the letters stand for {pairs}, in this order."]


def _main_tests(analysis: FactorialAnalysis) -> list[str]:
    """Return what stands for the main effects and the interaction, unless the main factors are a 2 x 2."""
    primary = [row for row in analysis.rows if row.family == PRIMARY]
    if is_two_by_two(analysis.study.factors) or not primary:
        return []
    names = [
        f"{rows[0].spec.factor} (comparisons of levels, by Dunnett: {len(rows)})"
        if rows[0].spec.factor
        else rows[0].spec.name
        for rows in _by_set(primary)
    ]
    main = " and ".join(main_factors(analysis.study.factors))
    return [f"Main factors: {main}. The primary family is, by Holm: {'; '.join(names)}."]


def _methods(analysis: FactorialAnalysis) -> str:
    exploratory = counted(sum(row.family == EXPLORATORY for row in analysis.rows), "contrast")
    averaged = f" Each run is the mean of its last {analysis.last} checkpoints." if analysis.last > 1 else ""
    return (
        f"p corr.: Holm within the primary, the secondary and the exploratory family ({exploratory}); "
        f"intervals are not adjusted for multiple tests.{averaged} Definitions: docs/statistics.md."
    )
