"""Tables about runs that the page shows and JSON has too: training data, curves over tokens, evaluations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.records import ModelRecords
from harness.reports.analysis.ledger import ledger_lines
from harness.reports.analysis.run_settings import RunSettings, run_settings
from harness.reports.analysis.training_curves import CurvePanel
from harness.reports.documents.tables import Column, Document, Row, Table


def with_run_tables(document: Document, models: Sequence[ModelRecords], panels: Sequence[CurvePanel]) -> Document:
    """Return the document with the tables ``curves``, ``ledger`` and ``settings``, the first two if there are any."""
    tables = (curves_table(panels), ledger_table(models), settings_table(run_settings(models)))
    return replace(document, tables=(*document.tables, *filter(None, tables)))


def curves_table(panels: Sequence[CurvePanel]) -> Table | None:
    """Return every point of the curves over tokens; None without curves."""
    columns = (
        Column(key="curve", heading="curve", kind="text", meaning="What is drawn over the tokens."),
        Column(key="line", heading="line", kind="text", meaning="Arm, or last checkpoint of the line."),
        Column(key="model", heading="model", kind="text", meaning="The point: an arm, a checkpoint or a stage."),
        Column(key="tokens", heading="tokens", kind="count", meaning="Tokens since the root, as streamed."),
        Column(key="value", heading="value"),
        Column(key="band", heading="band", kind="interval", meaning="Ends of the band at this point."),
        Column(key="band_is", heading="band type", kind="text", meaning="Such as 95% interval, or range of the runs."),
    )
    rows = tuple(
        Row(
            cells={
                "curve": panel.title,
                "line": line.name,
                "model": point.model,
                "tokens": point.tokens,
                "value": point.value,
                "band": None if point.low == point.high else (point.low, point.high),
                "band_is": panel.band,
            }
        )
        for panel in panels
        for line in panel.lines
        for point in line.points
    )
    return Table(key="curves", title="Curves over training tokens", columns=columns, rows=rows) if rows else None


def ledger_table(models: Sequence[ModelRecords]) -> Table | None:
    """Return the training data of every stage, in tokens and records; None without a manifest."""
    lines = ledger_lines(models)
    if not lines:
        return None
    columns = (
        Column(key="stage", place="name", heading="stage", kind="text"),
        Column(key="kind", heading="kind", kind="text"),
        Column(key="seed", heading="seed", kind="count"),
        Column(key="phase", heading="phase", kind="count", meaning="Phase of the data schedule, from 1."),
        Column(key="source", place="name", heading="source", kind="text"),
        Column(key="tokens", heading="tokens", kind="count", meaning="Tokens as streamed, repetitions included."),
        Column(key="share", heading="share", meaning="Share of the phase's tokens, as streamed."),
        Column(key="target_share", heading="target", meaning="Target share in the schedule."),
        Column(key="records", heading="records", kind="count", meaning="Records drawn in the whole stage."),
        Column(key="repeats", heading="repeats", kind="count", meaning="Times the source was restarted."),
        Column(key="cut", heading="cut", kind="count", meaning="Records truncated to the maximum length."),
        Column(
            key="dropped",
            heading="dropped",
            kind="count",
            meaning="Records left out because truncation left nothing to learn from.",
        ),
        Column(key="skipped", heading="skipped", kind="count", meaning="Invalid records that were skipped."),
        Column(key="held_out", heading="held out", kind="count", meaning="Records held out to measure the loss."),
    )
    rows = tuple(
        Row(
            cells={column.key: getattr(line, column.key) for column in columns} | {"phase": line.phase or None},
            tone="warning" if line.skipped else "",
        )
        for line in lines
    )
    return Table(key="ledger", title="Training data as streamed", columns=columns, rows=rows)


def settings_table(settings: Sequence[RunSettings]) -> Table:
    """Return how each model was evaluated."""
    columns = (
        Column(key="model", place="name", heading="model", kind="text"),
        Column(key="time", heading="run", kind="text", meaning="Start of the run, local time."),
        Column(key="n_tasks", heading="tasks", kind="count"),
        Column(key="engine", heading="engine", kind="text"),
        Column(key="dtype", heading="dtype", kind="text"),
        Column(key="num_fewshot", heading="few-shot", kind="text", meaning="Examples in the prompt."),
        Column(key="prompting", heading="template", kind="text", meaning="Chat template and system instruction."),
        Column(key="max_length", heading="max_length", kind="text", meaning="Longest input in tokens."),
        Column(key="task_versions", heading="task version", kind="text"),
        Column(key="failed", heading="failed", kind="count", meaning="Requests without an answer."),
        Column(key="cut", heading="cut", kind="count", meaning="Requests whose input was truncated to fit the model."),
    )
    rows = tuple(
        Row(
            cells={column.key: getattr(one, column.key, None) or None for column in columns}
            | {"n_tasks": len(one.tasks), "failed": one.failed, "cut": one.cut},
            tone="warning" if one.failed or one.cut else "",
        )
        for one in settings
    )
    return Table(key="settings", title="Evaluations", columns=columns, rows=rows)
