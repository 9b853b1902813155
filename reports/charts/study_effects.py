"""Main effects and interactions of a factorial study as a forest plot, for the page and for chart files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from harness.reports.analysis.contrasts import PRIMARY
from harness.reports.analysis.differences import OVERALL
from harness.reports.analysis.factorial import FactorialAnalysis
from harness.reports.analysis.metric import directions
from harness.reports.analysis.study import evaluated_models
from harness.reports.charts.drawing import Drawing
from harness.reports.charts.forest import COLUMNS_PER_BAND, Effect, draw_forest


def draw_study_effects(
    analysis: FactorialAnalysis, per_band: int = COLUMNS_PER_BAND, marked: Mapping[str, str] | None = None
) -> Drawing:
    """Return the primary contrasts over overall and all tasks as one drawing.

    Args:
        analysis: The analysis.
        per_band: Contrasts beside each other.
        marked: Other names of some rows, such as those with failed requests.
    """
    names, losses = marked or {}, _losses(analysis)
    effects = [
        Effect(
            row=names.get(row.task, row.task),
            column=row.spec.name,
            value=row.estimate.estimate,
            low=row.estimate.low,
            high=row.estimate.high,
            quiet=not row.significant,
            higher_is_better=row.task not in losses,
        )
        for row in analysis.rows
        if row.spec.kind == PRIMARY
    ]
    return draw_forest(effects, "Main effects and interactions with their 95% intervals", per_band)


def _losses(analysis: FactorialAnalysis) -> set[str]:
    """Return the tasks of which less is better, and the domains, and overall, that have only such tasks."""
    models = evaluated_models(analysis.study)
    tasks = {task for task, (_, higher_is_better) in directions(models).items() if not higher_is_better}
    domains: dict[str, set[str]] = defaultdict(set)
    for model in models:
        for task, run in model.tasks.items():
            domains[run.domain].add(task)
    everything = {OVERALL} if analysis.any_scale and tasks else set()  # all tasks have one metric
    return tasks | {domain for domain, own in domains.items() if own <= tasks} | everything
