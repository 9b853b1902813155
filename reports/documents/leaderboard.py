"""A leaderboard as tables and sentences, the same for the terminal, Markdown, CSV, JSON, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.natural_order import natural_key
from harness.records import ModelRecords, TaskRun
from harness.reports.analysis.differences import OVERALL
from harness.reports.analysis.domains import BoardEstimates
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.analysis.leaderboard import Leaderboard
from harness.reports.documents.captions import board_caption, values_caption
from harness.reports.documents.tables import Column, Document, Row, Table
from harness.stats import AGGREGATE
from harness.wording import counted

MEANINGS = {
    "overall": f"Chance-centred mean over domains ({AGGREGATE}): 0 is guessing, 1 is perfect.",
    "interval": "95% interval of the overall value, combined from the intervals of the tasks; clustered.",
    "standard_error": "Clustered; variants of the same items are correlated, other tasks are independent.",
    "ranks": "Best and worst rank that the data allow, for all models at once (95%).",
    "groups": "Models that share a letter cannot be told apart.",
    "failed": "Requests without an answer; their items are left out, never scored 0.",
    "cut": "Requests whose input was truncated to fit the model; they do not see the whole prompt.",
}


def leaderboard_document(
    board: Leaderboard, estimates: BoardEstimates, command: str, values: Table | None = None
) -> Document:
    """Return the document of a leaderboard.

    Args:
        board: The ranks.
        estimates: The board's means and intervals.
        command: The command line that made it.
        values: The table of `task_values`, to stand after the ranks; None for the ranks alone.
    """
    tasks = [task for task in board.tasks if task.counted]
    names = sorted({task.domain for task in tasks})
    rows = board.standings
    tied = [row.model.name for row in rows if row.tied_with_leader and row is not rows[0]]
    first = [row.model.name for row in rows if row.rank == 1]
    lead = (
        _no_leader(first)
        if len(first) > 1
        else f"{rows[0].model.name} leads, but cannot be told apart from {', '.join(tied[:5])}"
        f"{f' and {len(tied) - 5} more' if len(tied) > 5 else ''}."
        if tied
        else f"{rows[0].model.name} leads, significantly ahead of all others."
    )
    notes = [
        lead,
        *board.notes,
        f"Overall: {board.definition}, the mean over {', '.join(names)}, from {counted(len(tasks), 'task')} and "
        f"{rows[0].items:,} items that every model answered; 0 is guessing, 1 is perfect. Domain columns are raw "
        "means, not centred on chance, so overall is not their mean. Models that share a letter cannot be told apart "
        "(all pairs tested at once, 95%). Definitions: docs/statistics.md.",
    ]
    return Document(
        title=f"Leaderboard of {len(rows)} models",
        command=command,
        tables=(_ranks(board, estimates), *([] if values is None else [values])),
        notes=tuple(notes),
        caveats=board.caveats,
    )


def with_domains(document: Document, estimates: BoardEstimates) -> Document:
    """Return the document with the table ``domains``, for JSON: the mean of each model by domain and overall."""
    columns = (
        Column(key="model", heading="model", kind="text"),
        Column(key="domain", heading="domain", kind="text", meaning="Overall is chance-centred, the others are not."),
        Column(key="value", heading="value", meaning="Mean over the items that every model answered."),
        Column(key="interval", heading="95% interval", kind="interval", meaning="95% interval of the mean."),
        Column(key="chance", heading="chance", meaning="Value that guessing reaches."),
    )
    parts = [(OVERALL, 0.0, estimates.overall)] + [(one.domain, one.chance, one.estimates) for one in estimates.domains]
    rows = tuple(
        Row(
            cells={
                "model": model,
                "domain": domain,
                "value": one.value,
                "interval": (one.low, one.high),
                "chance": chance,
            }
        )
        for domain, chance, values in parts
        for model, one in values.items()
    )
    table = Table(key="domains", title="Means by domain and overall", columns=columns, rows=rows)
    return replace(document, tables=(*document.tables, table))


def _no_leader(names: Sequence[str]) -> str:
    shown = [*names[:4], f"{len(names) - 4} more"] if len(names) > 5 else list(names)
    return f"{', '.join(shown[:-1])} and {shown[-1]} have exactly the same overall value, so nobody leads."


def _ranks(board: Leaderboard, estimates: BoardEstimates) -> Table:
    columns = (
        Column(
            key="rank",
            place="keep",
            heading="rank",
            kind="count",
            meaning="By the overall value; models with equal values share a rank.",
        ),
        Column(key="ranks", place="keep", heading="ranks", kind="ranks", meaning=MEANINGS["ranks"]),
        Column(key="groups", place="keep", heading="group", kind="text", meaning=MEANINGS["groups"]),
        Column(key="model", place="name", heading="model", kind="text"),
        Column(key="overall", place="keep", heading="overall", meaning=MEANINGS["overall"]),
        Column(key="interval", place="keep", heading="95% interval", kind="interval", meaning=MEANINGS["interval"]),
        Column(key="standard_error", heading="s.e.", meaning=MEANINGS["standard_error"], raw=True),
        *(
            Column(
                key=domain,
                place="below",
                heading=f"{domain} (raw)",
                meaning=f"Mean of the {domain} tasks, not centred on chance.",
            )
            for domain in board.domains
        ),
        Column(key="items", heading="n", kind="count", meaning="Items in the overall value."),
        Column(key="failed", place="keep", heading="failed", kind="count", meaning=MEANINGS["failed"]),
        Column(key="cut", heading="cut", kind="count", meaning=MEANINGS["cut"], raw=True),
        Column(
            key="definition",
            heading="definition",
            kind="text",
            meaning="Version of the definition of overall.",
            raw=True,
        ),
    )
    rows = tuple(
        Row(
            cells={
                "rank": row.rank,
                "ranks": row.rank_range,
                "groups": row.groups,
                "model": row.model.name,
                "overall": row.overall,
                "interval": (estimates.overall[row.model.name].low, estimates.overall[row.model.name].high),
                "standard_error": row.standard_error,
                **row.domains,
                "items": row.items,
                "failed": row.failed,
                "cut": sum(run.truncated for run in row.model.tasks.values()),
                "tied_with_leader": row.tied_with_leader,
                "definition": board.definition,
            },
            tone="warning" if row.failed else "strong" if row.tied_with_leader else "",
        )
        for row in board.standings
    )
    return Table(
        key="leaderboard", title="Models by overall value", columns=columns, rows=rows, caption=board_caption(board)
    )


def task_values(models: Sequence[ModelRecords], intervals: IntervalCache) -> Table:
    """Return the table of recorded values by task and model, with intervals over the items that each model answered.

    Args:
        models: In any order.
        intervals: Intervals computed so far in this report.
    """
    columns = (
        Column(key="domain", place="aside", heading="domain", kind="text"),
        Column(key="task", place="name", heading="task", kind="text"),
        Column(key="model", place="name", heading="model", kind="text"),
        Column(key="metric", place="aside", heading="metric", kind="text"),
        Column(
            key="value", place="keep", heading="value", meaning="As recorded, over the items that the model answered."
        ),
        Column(
            key="interval",
            place="keep",
            heading="95% interval",
            kind="interval",
            meaning="Wilson's interval or bootstrap-t; clustered.",
        ),
        Column(key="items", heading="n", kind="count", meaning="Items in the value."),
        Column(key="asked", place="aside", heading="asked", kind="count", meaning="Items that the model was asked."),
        Column(key="failed", place="keep", heading="failed", kind="count", meaning=MEANINGS["failed"]),
        Column(key="cut", place="aside", heading="cut", kind="count", meaning=MEANINGS["cut"]),
        Column(key="chance", place="aside", heading="chance", meaning="Value that guessing reaches."),
        Column(key="engine", place="aside", heading="engine", kind="text"),
        Column(key="dtype", place="aside", heading="dtype", kind="text"),
    )
    rows = []
    runs = [(run, model.name) for model in models for run in model.tasks.values()]
    for run, name in sorted(runs, key=lambda one: (one[0].domain, one[0].task, natural_key(one[1]))):
        ends, items = _interval(run, intervals)
        cells = {
            "domain": run.domain,
            "task": run.task,
            "model": name,
            "metric": run.metric.partition(",")[0],
            "value": run.value,
            "interval": ends,
            "items": items,
            "asked": run.items_requested,
            "failed": run.failed,
            "cut": run.truncated,
            "chance": run.chance,
            "engine": run.engine,
            "dtype": run.dtype or None,
        }
        rows.append(Row(cells=cells, tone="warning" if run.failed else ""))
    caption = values_caption([row.cells["items"] for row in rows])
    return Table(key="tasks", title="Values by task", columns=columns, rows=tuple(rows), caption=caption)


def _interval(run: TaskRun, intervals: IntervalCache) -> tuple[tuple[float, float] | None, int]:
    metric, _, filter_name = run.metric.partition(",")
    rows = run.items.rows(filter_name)
    if not run.is_mean:
        return None, int(rows.size)
    values = run.items.values[metric][rows]
    answered = np.isfinite(values)
    clusters = None if run.items.cluster is None else run.items.cluster[rows][answered]
    ends = intervals.interval(run.metric, values[answered], clusters)
    return (ends.low, ends.high), int(answered.sum())
