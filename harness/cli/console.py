"""An evaluation in the terminal: a progress bar on standard error, tables on standard output."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

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

from harness.cli.run_tables import number, tables_of
from harness.console import print_sentence, stderr, stdout
from harness.terminal_table import print_table
from harness.visible import say
from harness.wording import counted

if TYPE_CHECKING:
    from harness.evaluation.evaluation import Evaluation
    from harness.evaluation.progress_file import ProgressFile
    from harness.evaluation.run import DoneRun
    from harness.records.run_folder import RunRecord

REFRESH_SECONDS = 0.1  # rich redraws the bar at this interval too
INTERVAL_METHODS = (
    "95% intervals: Wilson for proportions, bootstrap-t for other means (skewness-corrected t below ten items or "
    "clusters); by cluster if the task defines clusters."
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
        item = requests.items[0]
        first = [one for number, one in zip(requests.items, requests.requests, strict=True) if number == item]
        say(f"task: {name}\nitem: {item}\nprompt:\n{first[0].context}")
        for request in first:
            if request.kind != "generate_until":
                say(f"continuation: {request.continuation!r}")
        if first[0].kind == "generate_until":
            say(f"generation: {first[0].generation}")
        task = evaluation.tasks.tasks[name]
        say(f"target: {task.doc_to_target(task.eval_docs[item])!r}\n")


def print_config(done: DoneRun) -> None:
    """Print lm-eval's results as JSON: the scores, the settings of every task, and the options of the run."""
    from harness.records.run_folder import to_json

    say(to_json(done.results, indent=2))


def print_run(done: DoneRun, *, dry_run: bool = False, wide: bool = False) -> None:
    """Print one model's run: its leaderboard line, its tables and the folder of its record.

    Args:
        done: The run.
        dry_run: Whether the answers were scripted.
        wide: Print every column, however narrow the terminal is.
    """
    console = stdout()
    record = done.record
    console.print(record.model["name"], style="bold", soft_wrap=True)
    line = leaderboard_line(record)
    if line:
        print_sentence(console, line)
    console.print()
    for position, table in enumerate(tables_of(done)):
        if position:
            console.print()
        print_table(table, console, wide=wide)
    if record.aggregate:
        console.print("chance-centred: 0 is guessing, 1 is perfect", style="dim", soft_wrap=True)
    print_sentence(console, INTERVAL_METHODS, "dim")
    from_journal = f", {counted(record.from_journal, 'answer')} from the journal" if record.from_journal else ""
    destination = f"records: {done.path.parent}" if done.path else DRY_RUN if dry_run else NO_RECORD
    console.print(f"{destination}  ({done.seconds:.1f} s{from_journal})\n", soft_wrap=True)


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
            items = f"{counted(left_out, 'item')} {'is' if left_out == 1 else 'are'} left out"
            console.print(f"{name}: {task.failed} of {counted(task.asked, 'request')} failed ({reasons}); {items}.")
        for field, sentence in _COUNTS.items():
            if count := getattr(task, field):
                console.print(f"{name}: {sentence.format(count, asked=task.asked, items=task.items_scored)}")
    for note in record.notes:
        console.print(note)
    if not record.complete:
        failed = sum(task.failed for task in record.tasks.values())
        console.print(
            f"incomplete: {counted(failed, 'request')} failed, {record.allowed_failures} allowed. The same command "
            f"sends {'it' if failed == 1 else 'them'} again; --allow_failures N accepts up to N."
        )
