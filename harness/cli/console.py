"""An evaluation in the terminal: a progress bar on standard error, a table on standard output."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from harness.console import stderr, stdout
from harness.visible import say

if TYPE_CHECKING:
    from harness.evaluation.evaluation import Evaluation
    from harness.evaluation.progress_file import ProgressFile
    from harness.evaluation.run import DoneRun
    from harness.records.run_folder import RunRecord, TaskRecord

REFRESH_SECONDS = 0.1  # rich redraws the bar at this interval too
INTERVAL_METHODS = (
    "95% intervals: Wilson for proportions, bootstrap-t for other means; by cluster if the task defines clusters."
)
# Counts of a task's record that are mentioned when they are not 0.
_COUNTS = {
    "cut": "{} of {asked} inputs were cut on the left to fit the model's context.",
    "encoded_apart": "{} of {asked} continuations were encoded without their context, because the tokenizer merges "
    "them with its end.",
    "empty": "{} of {asked} generations came back empty.",
    "unclosed_thoughts": "{} of {asked} generations end within the model's reasoning, so they have no answer; "
    "--gen_kwargs max_gen_toks=N gives them more room.",
    "unparsed": "no answer could be extracted from {} of {items} generations.",
    "unsupported": "unsupported programs: {}. The sandbox does not support their tests, so they count as neither right "
    "nor wrong; see docs/sandbox.md.",
}


class EvalProgress:
    """A progress bar with rate and time left while requests are answered; hidden if standard error is no terminal."""

    def __init__(self, file: ProgressFile | None = None) -> None:
        """`file` also receives the numbers, so that other processes can read them."""
        self._file = file
        self._bar = Progress(
            TextColumn("answering"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=stderr(),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._task: TaskID | None = None
        self._unshown = 0
        self._shown_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.pause()

    def start(self, *, total: int, known: int) -> None:
        """Show a new bar; answers from the journal count as done."""
        self.pause()
        self._unshown, self._shown_at = 0, 0.0
        if self._file is not None:
            self._file.start(total=total, known=known)
        self._task = self._bar.add_task("answering", total=total, completed=known, rate="")
        self._bar.start()

    def advance(self, count: int) -> None:
        """Add `count` answered requests."""
        assert self._task is not None
        if self._file is not None:
            self._file.advance(count)
        self._unshown += count
        if self._bar.disable or time.monotonic() - self._shown_at < REFRESH_SECONDS:
            return
        speed = self._bar.tasks[-1].speed  # a mean over the last 1,000 updates
        self._bar.update(self._task, advance=self._unshown, rate=f"{speed:,.1f} requests/s" if speed else "")
        self._unshown, self._shown_at = 0, time.monotonic()

    def pause(self) -> None:
        """Remove the bar, so that a table can be printed."""
        self._bar.stop()
        if self._task is not None:
            self._bar.remove_task(self._task)
            self._task = None


class FetchProgress:
    """A progress bar for each download; hidden if standard error is no terminal."""

    def __init__(self) -> None:
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            console=stderr(),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._bar.stop()

    def advance(self, name: str, arrived: int, total: int | None) -> None:
        """Show that `arrived` of `total` bytes of the file `name` have arrived."""
        if name not in self._tasks:
            self._tasks[name] = self._bar.add_task(name, total=total)
        self._bar.update(self._tasks[name], completed=arrived, total=total)


NO_RECORD = "no record: add --output_path DIR to write one"
DRY_RUN = "dry run: scripted answers, nothing written"


def print_prompts(evaluation: Evaluation) -> None:
    """Print the first prompt of each task, with its continuations or its target."""
    for name, requests in evaluation.requests.items():
        first = [one for item, one in zip(requests.items, requests.requests, strict=True) if item == requests.items[0]]
        say(f"task: {name}\nitem: {requests.items[0]}\nprompt:\n{first[0].context}")
        for request in first:
            if request.kind != "generate_until":
                say(f"continuation: {request.continuation!r}")
        if first[0].kind == "generate_until":
            say(f"generation: {first[0].generation}")
        task = evaluation.tasks.tasks[name]
        say(f"target: {task.doc_to_target(requests.instances[0].doc)!r}\n")


def print_config(done: DoneRun) -> None:
    """Print lm-eval's results as JSON: the scores, the settings of every task, and the options of the run."""
    from harness.records.run_folder import to_json

    say(to_json(done.results, indent=2))


def print_run(done: DoneRun, *, dry_run: bool = False) -> None:
    """Print the table of one model's run, its leaderboard line and the folder of its record."""
    console = stdout()
    record = done.record
    console.print(record.model["name"], style="bold", soft_wrap=True)
    console.print(_task_table(record))
    _print_groups(console, done.results.get("groups") or {}, done.group_errors)
    _print_aggregates(console, record.aggregate)
    console.print(INTERVAL_METHODS, style="dim", soft_wrap=True)
    line = leaderboard_line(record)
    if line:
        console.print("\n" + line, soft_wrap=True)
    from_journal = f", {record.from_journal:,} answers from the journal" if record.from_journal else ""
    destination = f"records: {done.path.parent}" if done.path else DRY_RUN if dry_run else NO_RECORD
    console.print(f"{destination}  ({done.seconds:.1f} s{from_journal})\n", soft_wrap=True)


def _task_table(record: RunRecord) -> Table:
    left, right = ("domain", "task", "metric"), ("n", "value", "s.e.", "95% interval", "chance", "failed")
    table = Table(box=None, pad_edge=False)
    for heading in left + right:
        table.add_column(heading, justify="left" if heading in left else "right", header_style="dim", no_wrap=True)
    for name, task in record.tasks.items():
        table.add_row(*_row(name, task), style="yellow" if task.failed else None)
    return table


def _row(name: str, task: TaskRecord) -> list[str]:
    metric, _, filter_name = task.metric.partition(",")
    return [
        task.domain or "-",
        name,
        metric if filter_name in ("none", "") else f"{metric} ({filter_name})",
        f"{task.items_scored:,}",
        number(task.value),
        number(task.stderr),
        f"{task.interval[0]:.3f} to {task.interval[1]:.3f}" if task.interval else "-",
        f"{task.chance:.2f}",
        f"{task.failed:,}" if task.failed else "-",
    ]


def number(value: float | None) -> str:
    """Return `value` with three decimals, or a dash if it is unknown."""
    return "-" if value is None or math.isnan(value) else f"{value:.3f}"


def _print_groups(
    console: Console, groups: Mapping[str, Mapping[str, Any]], errors: Mapping[str, Mapping[str, float]]
) -> None:
    """Print the group means from ``aggregate_metric_list`` with their clustered errors."""
    table = Table(box=None, pad_edge=False)
    for heading in ("group", "metric", "value", "s.e."):
        table.add_column(heading, justify="left" if heading in ("group", "metric") else "right", header_style="dim")
    for name, values in groups.items():
        for key, value in values.items():
            metric, comma, filter_name = key.partition(",")
            if comma and not metric.endswith("_stderr") and isinstance(value, int | float):
                shown = metric if filter_name in ("none", "") else f"{metric} ({filter_name})"
                table.add_row(name, shown, number(value), number(errors.get(name, {}).get(key)))
    if table.row_count:
        console.print()
        console.print(table)


def _print_aggregates(console: Console, aggregate: dict[str, Any]) -> None:
    domains = [domain for kind in aggregate.values() for domain in kind["domains"]]
    if not domains:
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("mean by domain", "tasks", "value", "s.e.", "chance-centred"):
        table.add_column(heading, justify="left" if heading == "mean by domain" else "right", header_style="dim")
    for row in domains:
        table.add_row(
            row["domain"], str(row["tasks"]), number(row["mean"]), number(row["mean_error"]), number(row["centred"])
        )
    if "reasoning" in aggregate:
        total = aggregate["reasoning"]
        tasks = str(sum(row["tasks"] for row in total["domains"]))
        cells = [number(total[key]) for key in ("mean", "mean_error", "centred")]
        table.add_row("overall", tasks, *cells, style="bold")
    console.print()
    console.print(table)
    console.print("chance-centred: 0 is guessing, 1 is perfect", style="dim")


def leaderboard_line(record: RunRecord) -> str:
    """Return one line to compare with other models' lines; empty if no task has a reasoning domain."""
    total = record.aggregate.get("reasoning")
    if total is None:
        return ""
    domains = "  ".join(f"{row['domain']} {row['mean']:.3f}" for row in total["domains"])
    overall = f"overall {total['centred']:+.3f} (s.e. {number(total['centred_error'])})"
    return f"leaderboard  {record.model['name']}  {overall}  {domains}"


def print_failures(record: RunRecord) -> None:
    """Print to standard error how many requests failed, were cut or came back empty, and the record's notes."""
    console = stderr()
    for name, task in record.tasks.items():
        if task.failed:
            reasons = ", ".join(f"{count} {reason}" for reason, count in task.failures.items())
            left_out = task.items - task.items_scored
            console.print(
                f"{name}: {task.failed} of {task.asked} requests failed ({reasons}); {left_out} items are left out."
            )
        for field, sentence in _COUNTS.items():
            if count := getattr(task, field):
                console.print(f"{name}: {sentence.format(count, asked=task.asked, items=task.items_scored)}")
    for note in record.notes:
        console.print(note)
    if not record.complete:
        failed = sum(task.failed for task in record.tasks.values())
        console.print(
            f"incomplete: {failed} requests failed, {record.allowed_failures} allowed. The same command sends "
            "them again; --allow_failures N accepts them."
        )
