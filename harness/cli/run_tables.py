"""The tables of one model's run: its tasks, the means of groups, and the means by domain."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.terminal_table import TableColumn, TableRow, TerminalTable

if TYPE_CHECKING:
    from harness.evaluation.run import DoneRun
    from harness.records.run_folder import RunRecord, TaskRecord


TASK_COLUMNS = (
    TableColumn(heading="domain", place="aside"),
    TableColumn(heading="task", place="name"),
    TableColumn(heading="metric"),
    TableColumn(heading="n", numbers=True),
    TableColumn(heading="value", numbers=True, place="keep"),
    TableColumn(heading="s.e.", numbers=True, place="aside"),
    TableColumn(heading="95% interval", numbers=True, place="keep"),
    TableColumn(heading="chance", numbers=True, place="aside"),
    TableColumn(heading="failed", numbers=True, place="keep"),
)


def tables_of(done: DoneRun) -> Iterator[TerminalTable]:
    """Yield the tables of the tasks, of the groups' own means and of the domains; empty ones are left out."""
    groups = _group_table(done.results.get("groups") or {}, done.group_errors)
    for table in (_task_table(done.record), groups, _domain_table(done.record.aggregate)):
        if table.rows:
            yield table


def _task_table(record: RunRecord) -> TerminalTable:
    rows = tuple(
        TableRow(cells=_cells(name, task), style="yellow" if task.failed else None)
        for name, task in record.tasks.items()
    )
    return TerminalTable(columns=TASK_COLUMNS, rows=rows)


def _cells(name: str, task: TaskRecord) -> tuple[str, ...]:
    metric, _, filter_name = task.metric.partition(",")
    return (
        task.domain or "-",
        name,
        metric if filter_name in ("none", "") else f"{metric} ({filter_name})",
        f"{task.items_scored:,}",
        number(task.value),
        number(task.stderr),
        _interval(task.interval),
        f"{task.chance:.2f}",
        f"{task.failed:,}" if task.failed else "-",
    )


def number(value: float | None) -> str:
    """Return `value` with three decimals, or a dash if it is unknown."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _interval(ends: Sequence[float] | None) -> str:
    return f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else "-"


def _group_table(groups: Mapping[str, Mapping[str, Any]], errors: Mapping[str, Mapping[str, float]]) -> TerminalTable:
    """Return the group means from ``aggregate_metric_list`` with their clustered errors."""
    columns = (
        TableColumn(heading="group", place="name"),
        TableColumn(heading="metric", place="name"),
        TableColumn(heading="value", numbers=True, place="keep"),
        TableColumn(heading="s.e.", numbers=True, place="keep"),
    )
    rows = []
    for name, values in groups.items():
        for key, value in values.items():
            metric, comma, filter_name = key.partition(",")
            if comma and not metric.endswith("_stderr") and isinstance(value, int | float):
                shown = metric if filter_name in ("none", "") else f"{metric} ({filter_name})"
                error = number(errors.get(name, {}).get(key))
                rows.append(TableRow(cells=(name, shown, number(value), error)))
    return TerminalTable(columns=columns, rows=tuple(rows))


def _domain_table(aggregate: Mapping[str, Any]) -> TerminalTable:
    """Return the means by domain, and overall if there is a reasoning domain."""
    columns = (
        TableColumn(heading="mean by domain", place="name"),
        TableColumn(heading="tasks", numbers=True),
        TableColumn(heading="value", numbers=True, place="keep"),
        TableColumn(heading="s.e.", numbers=True, place="aside"),
        TableColumn(heading="95% interval", numbers=True, place="keep"),
        TableColumn(heading="chance-centred", numbers=True, place="keep"),
    )
    domains = [domain for kind in aggregate.values() for domain in kind["domains"]]
    rows = [TableRow(cells=_mean(row["domain"], row["tasks"], row)) for row in domains]
    if rows and "reasoning" in aggregate:
        total = aggregate["reasoning"]
        tasks = sum(row["tasks"] for row in total["domains"])
        rows.append(TableRow(cells=_mean("overall", tasks, total), style="bold"))
    return TerminalTable(columns=columns, rows=tuple(rows))


def _mean(name: str, tasks: int, row: Mapping[str, Any]) -> tuple[str, ...]:
    error, ends = number(row["mean_error"]), _interval(row.get("mean_interval"))
    return (name, str(tasks), number(row["mean"]), error, ends, number(row["centred"]))
