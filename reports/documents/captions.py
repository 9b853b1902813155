"""Captions for a paper: the test, the correction and the number of items, of tables and charts alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from harness.records import ModelRecords
from harness.reports.analysis.differences import OVERALL, Comparison
from harness.reports.analysis.factorial import FactorialAnalysis
from harness.reports.analysis.leaderboard import Leaderboard
from harness.reports.analysis.training_curves import LOSS_TITLE, MOST_BANDS, RANGE, CurvePanel
from harness.stats import AGGREGATE
from harness.wording import counted

METHODS = {"holm": "Holm's", "bh": "Benjamini and Hochberg's"}
CORRECTIONS = {"holm": "Holm's method, overall first and then its tasks", "bh": "Benjamini and Hochberg's method"}
UNADJUSTED = "Intervals are not adjusted for multiple tests."
MOST_NAMED = 4  # models in a sentence


def comparison_caption(comparison: Comparison) -> str:
    """Return what a table or a chart of differences by task shows."""
    if len(comparison.arms[0].models) > 1:
        test = _student(comparison)
    else:
        test = "the mid-p variant of McNemar's exact test, or of the sign-flip test where values are not right or wrong"
    return _sentences(
        f"Difference from {comparison.arms[0].name} on the same items, with 95% interval; p by {test}, "
        f"{_corrected(comparison)}. {_items(comparison)}. {UNADJUSTED}",
        failed_and_cut_sentence([model for arm in comparison.arms for model in arm.models]),
    )


def overall_caption(comparison: Comparison, *, domains: bool = True) -> str:
    """Return what a table of differences overall shows, with `domains` also by domain; empty without any."""
    parts = [part for own in comparison.overall.values() for part in own if domains or part.domain == OVERALL]
    if not parts:
        return ""
    mean = "Mean difference" if comparison.any_scale else "Chance-centred mean difference"
    if len(comparison.arms[0].models) > 1:
        how = f"with 95% interval; p by {_student(comparison)}"
    else:
        how = "with the 95% interval that combines those of the tasks; p agrees with this interval"
    untested = " Rows without p are not tested." if any(part.p is None for part in parts) else ""
    return _sentences(
        f"{mean} from {comparison.arms[0].name} over {_tasks([part.tasks for part in parts])}, {how}, "
        f"{_corrected(comparison)}.{untested} {_items(comparison)}. {UNADJUSTED}",
        failed_and_cut_sentence([model for arm in comparison.arms for model in arm.models]),
    )


def slopes_caption(comparison: Comparison) -> str:
    """Return what a table of slopes over a dose shows; empty without slopes."""
    if not comparison.slopes:
        return ""
    runs = [one.runs for one in comparison.slopes]
    return (
        f"Change of the value per unit of the dose, over {_range(runs)} training runs, with 95% interval by Student's "
        f"t; p permutes the doses among the runs, corrected for {counted(len(runs), 'test')} by "
        f"{METHODS[comparison.correction]} method. n = {_range([one.items for one in comparison.slopes])} items per "
        f"task. {UNADJUSTED}"
    )


def failed_and_cut_sentence(models: Iterable[ModelRecords]) -> str:
    """Return a sentence on requests without an answer and on truncated ones, by model; empty if there are none."""
    failed, cut = {}, {}
    for model in models:
        failed[model.name] = sum(run.failed for run in model.tasks.values())
        cut[model.name] = sum(run.truncated for run in model.tasks.values())
    return _sentences(
        _counts("Requests without an answer, whose items are left out", failed),
        _counts("Requests whose input was truncated", cut),
    )


def _counts(what: str, counts: Mapping[str, int]) -> str:
    some = {name: count for name, count in counts.items() if count}
    if not some:
        return ""
    if len(some) > MOST_NAMED:
        return f"{what}: {sum(some.values()):,} of {len(some)} models."
    return f"{what}: {', '.join(f'{name} {count:,}' for name, count in some.items())}."


def _student(comparison: Comparison) -> str:
    runs = _range([len(arm.models) for arm in comparison.arms])
    return f"Student's t over items and runs ({runs} runs per arm)"


def _corrected(comparison: Comparison) -> str:
    return f"corrected for {counted(comparison.tests, 'test')} by {CORRECTIONS[comparison.correction]}"


def _items(comparison: Comparison) -> str:
    items = [one.items for one in comparison.differences if one.items]
    return f"n = {_range(items) if items else '0'} items per task"


def factorial_caption(analysis: FactorialAnalysis) -> str:
    """Return what a table or a chart of effects shows."""
    items = [one.values.shape[1] for one in analysis.tasks]
    runs = [arm.runs for arm in analysis.arms]
    if max(runs) == 1:
        of, counts = "items only", "one training run per arm"
    else:
        plots = _range([arm.plots for arm in analysis.arms])
        of, counts = "items and training runs", f"{_range(runs)} training runs per arm from {plots} pre-training runs"
    return _sentences(
        f"Effect with 95% interval and p by Student's t, with the error of {of}; p corrected within its family by "
        f"Holm's method. n = {_range(items) if items else '0'} items per task; {counts}. "
        f"Overall is the {_mean(analysis)} over domains. {UNADJUSTED}",
        failed_and_cut_sentence(_models(analysis)),
    )


def effects_caption(analysis: FactorialAnalysis) -> str:
    """Return what a chart of effects shows; it begins with the question."""
    return (
        f"Which main effects and interactions differ from 0? {factorial_caption(analysis)} "
        "Grey: not significant at 5% after correction."
    )


def curves_caption(panel: CurvePanel) -> str:
    """Return what a chart of an arm's values over tokens shows; it begins with the question."""
    goes = "down" if panel.title == LOSS_TITLE else "up"
    value = panel.title.partition("(")[0].partition(",")[0].strip()
    return (
        f"Does {value} go {goes} with training? {panel.title}. {curves_key([panel], 'mean over the runs of each arm')}"
    )


def curves_key(panels: Sequence[CurvePanel], line: str = "") -> str:
    """Return what the lines and bands of values over tokens are, and which panels have no bands.

    Args:
        panels: At least one; the first tells what the bands are.
        line: What a line is; empty for what it is in `training_curves`.
    """
    what = line or ("mean over the runs of a recipe" if panels[0].band == RANGE else "value of each checkpoint")
    n_without = sum(not panel.has_bands for panel in panels)
    if n_without == len(panels):
        return f"Lines: {what}, without bands, because there are more than {MOST_BANDS} lines."
    where = f", where there are at most {MOST_BANDS} lines" if n_without else ""
    return f"Lines: {what}; bands{where}: {panels[0].band}."


def arms_caption(analysis: FactorialAnalysis) -> str:
    """Return what a table of the arms of a study shows."""
    items = [one.values.shape[1] for one in analysis.tasks]
    tasks = counted(len(analysis.tasks), "task")
    return _sentences(
        f"Overall is the {_mean(analysis)} over domains and training runs, of {tasks} with n = "
        f"{_range(items) if items else '0'} items each; nothing is tested here.",
        failed_and_cut_sentence(_models(analysis)),
    )


def board_caption(board: Leaderboard) -> str:
    """Return what the ranks of a leaderboard show."""
    return (
        f"Chance-centred mean over domains ({AGGREGATE}) of {sum(task.counted for task in board.tasks)} tasks, n = "
        f"{board.standings[0].items:,} items; ranks and groups test all pairs of models at once (95%)."
    )


def values_caption(items: Sequence[int]) -> str:
    """Return what a table of values by task and model shows.

    Args:
        items: Number of items in each value.
    """
    return (
        f"As recorded, over the items that the model answered (n = {_range(items) if items else '0'}), with 95% "
        "interval: Wilson's for right/wrong answers; for other values bootstrap-t, or a skewness-corrected t below ten "
        "items or clusters. Errors are clustered. Nothing is tested here."
    )


def _models(analysis: FactorialAnalysis) -> list[ModelRecords]:
    return [model for run in analysis.study.runs for model in run.checkpoints]


def _mean(analysis: FactorialAnalysis) -> str:
    return "mean" if analysis.any_scale else "chance-centred mean"


def _sentences(*sentences: str) -> str:
    return " ".join(filter(None, sentences))


def _tasks(counts: Sequence[int]) -> str:
    return counted(counts[0], "task") if len(set(counts)) == 1 else f"{_range(counts)} tasks"


def _range(values: Sequence[int]) -> str:
    least, most = min(values), max(values)
    return f"{least:,}" if least == most else f"{least:,} to {most:,}"
