"""Scores with and without the items that occur in training data, as tables beside those of a report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.errors import InputError, RecordError
from harness.records import ModelRecords, TaskRun
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Comparison
from harness.reports.analysis.factorial import AnalysisOptions, FactorialAnalysis, analyse
from harness.reports.analysis.leaderboard import Leaderboard, rank
from harness.reports.analysis.overlap import OverlappingItems, without
from harness.reports.analysis.study import Study
from harness.reports.documents.comparison import comparison_document
from harness.reports.documents.factorial import factorial_document
from harness.reports.documents.tables import Column, Document, Row, Table

WITHOUT = "Over the items that do not stand in the training data."
CAPTION = "The columns 'without' are over the items that do not stand in the training data. Nothing is tested here."


def leaderboard_with_overlap(
    document: Document, board: Leaderboard, overlap: OverlappingItems, *, force: bool
) -> Document:
    """Return the document of a leaderboard with tables of the scores without overlapping items."""
    clean, notes = without(board.models, overlap)
    try:
        clean_board = rank(clean, force=force)
    except RecordError:  # no task is left that all models have
        return _with(document, [_by_task(board.models, clean, overlap)], notes)
    return _with(document, [_overall(board, clean_board), _by_task(board.models, clean, overlap)], notes)


def comparison_with_overlap(
    document: Document, comparison: Comparison, overlap: OverlappingItems, *, force: bool, chosen: bool
) -> Document:
    """Return the document of a comparison with the same tests without overlapping items.

    Args:
        document: The document.
        comparison: Its contents.
        overlap: The overlapping items.
        force: Whether runs are compared even if their prompts differ.
        chosen: Whether the baseline was chosen by its values; see `compare`.
    """
    models = [model for arm in comparison.arms for model in arm.models]
    clean, notes = without(models, overlap)
    tables = [_by_task(models, clean, overlap)]
    left = iter(clean)
    arms = [replace(arm, models=tuple(next(left) for _ in arm.models)) for arm in comparison.arms]
    try:
        again = compare(
            arms,
            margin=comparison.margin,
            correction=comparison.correction,
            force=force,
            chosen=chosen,
            any_scale=comparison.any_scale,
        )
    except RecordError:  # no task is left that two arms share
        return _with(document, tables, notes)
    first = comparison_document(again, document.command).tables[0]
    differences = replace(first, key="differences_without", title="Difference by task, without overlapping items")
    return _with(document, [differences, *tables], notes)


def factorial_with_overlap(
    document: Document, analysis: FactorialAnalysis, overlap: OverlappingItems, options: AnalysisOptions
) -> Document:
    """Return the document of a factorial study, with a second table of contrasts without overlapping items."""
    models = [model for run in analysis.study.runs for model in run.checkpoints]
    parents = list(analysis.study.parents.values())
    clean, notes = without([*models, *parents], overlap)
    tables = [_by_task(models, clean[: len(models)], overlap)]
    try:
        again = analyse(_with_models(analysis.study, clean), options)
    except (InputError, RecordError):  # no task is left that all runs share
        return _with(document, tables, notes)
    first = factorial_document(again, document.command).tables[0]
    contrasts = replace(first, key="contrasts_without", title="Contrasts without overlapping items")
    return _with(document, [contrasts, *tables], notes)


def _with_models(study: Study, models: Sequence[ModelRecords]) -> Study:
    """Return a study with other records: those of its runs' checkpoints in their order, then those of its parents."""
    left = iter(models)
    runs = [replace(run, checkpoints=tuple(next(left) for _ in run.checkpoints)) for run in study.runs]
    return replace(study, runs=tuple(runs), parents={name: next(left) for name in study.parents})


def _with(document: Document, tables: Sequence[Table], notes: Sequence[str]) -> Document:
    return replace(document, tables=(*document.tables, *tables), notes=(*document.notes, *notes))


def _overall(board: Leaderboard, clean: Leaderboard) -> Table:
    columns = (
        Column(key="model", place="name", heading="model", kind="text"),
        Column(key="rank", place="keep", heading="rank", kind="count", meaning="Over all items."),
        Column(key="rank_without", place="keep", heading="without", kind="count", meaning=WITHOUT),
        Column(key="overall", place="keep", heading="overall", meaning="Over all items."),
        Column(key="overall_without", place="keep", heading="without", meaning=WITHOUT),
        Column(
            key="standard_error_without",
            place="keep",
            heading="s.e.",
            meaning="Of the value without overlapping items.",
        ),
        Column(key="items", heading="n", kind="count", meaning="Items in the overall value."),
        Column(key="items_without", heading="without", kind="count", meaning=WITHOUT),
    )
    standings = {standing.model.name: standing for standing in clean.standings}
    rows = []
    for standing in board.standings:
        other = standings[standing.model.name]
        cells = {
            "model": standing.model.name, "rank": standing.rank, "rank_without": other.rank,
            "overall": standing.overall, "overall_without": other.overall,
            "standard_error_without": other.standard_error, "items": standing.items, "items_without": other.items,
        }  # fmt: skip
        rows.append(Row(cells=cells))
    title = "Overall with and without overlapping items"
    return Table(key="overlap", title=title, columns=columns, rows=tuple(rows), caption=CAPTION)


def _by_task(models: Sequence[ModelRecords], clean: Sequence[ModelRecords], overlap: OverlappingItems) -> Table:
    columns = (
        Column(key="task", place="name", heading="task", kind="text"),
        Column(key="model", place="name", heading="model", kind="text"),
        Column(key="metric", heading="metric", kind="text"),
        Column(
            key="value", place="keep", heading="value", meaning="As recorded, over the items that the model answered."
        ),
        Column(key="value_without", place="keep", heading="without", meaning=WITHOUT),
        Column(key="items", heading="n", kind="count", meaning="Items in the value."),
        Column(key="overlapping", heading="overlapping", kind="count", meaning="Those that occur in training data."),
    )
    pairs = [
        (run, other.tasks.get(name), model.name)
        for model, other in zip(models, clean, strict=True)
        for name, run in model.tasks.items()
        if name in overlap.hashes
    ]
    rows = tuple(
        Row(cells=_cells(run, cleaned, name, overlap))
        for run, cleaned, name in sorted(pairs, key=lambda pair: (pair[0].domain, pair[0].task, pair[2]))
    )
    title = "Values with and without overlapping items"
    return Table(key="overlap_tasks", title=title, columns=columns, rows=rows, caption=CAPTION)


def _cells(run: TaskRun, cleaned: TaskRun | None, model: str, overlap: OverlappingItems) -> dict[str, object]:
    rows = run.items.rows(run.metric.partition(",")[2])
    answered = rows[np.isfinite(run.headline_values)]
    hashes = overlap.hashes[run.task]
    return {
        "task": run.task,
        "model": model,
        "metric": run.metric.partition(",")[0],
        "value": run.value,
        "value_without": cleaned.value if cleaned is not None else None,
        "items": int(answered.size),
        "overlapping": sum(digest in hashes for digest in run.items.doc_hash[answered].tolist()),
    }
