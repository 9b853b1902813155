"""`harness train`: train the checkpoint that a stage file describes, or show the plan."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError, SpecError, did_you_mean
from harness.visible import say
from harness.wording import counted

if TYPE_CHECKING:
    from harness.checkpoints.stage_manifest import StreamedSource
    from harness.terminal_table import TerminalTable

TEXTS = ("", "phase", "format", "stage", "checkpoint")  # headings of columns that hold no numbers
PURPOSE = "Train the checkpoint that a stage file describes; run the same command again to resume."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags; ``key=value`` may appear anywhere after the stage file."""
    parser.add_argument(
        "stage_file", metavar="STAGE.yaml", type=Path, nargs="?", help="the stage to train; see docs/training.md"
    )
    parser.add_argument(
        "overrides",
        metavar="key=value",
        nargs="*",
        default=[],
        help="change fields of the stage file, for example trainer.learning_rate=1e-4",
    )
    parser.add_argument(
        "--output_path",
        metavar=("DIR", "key=value"),
        nargs="+",
        help="folder for the checkpoint; run the same command again to resume",
    )
    parser.add_argument(
        "--dry_run",
        metavar="key=value",
        nargs="*",
        help="print the spec, token budget, steps, parameters and memory without training",
    )
    parser.add_argument(
        "--example", metavar="METHOD", help="print a stage file with a comment on every field, for example sft"
    )
    parser.add_argument(
        "--estimate", action="store_true", help="with --dry_run: also say how long training takes, from two timed steps"
    )


def _print_example(name: str) -> int:
    """Print the example stage file of a method, with a comment on every field."""
    from harness.paths import stages_dir

    known = sorted(path.stem for path in stages_dir().glob("*.yaml"))
    if name not in known:
        raise InputError(f"--example {name}: there is none; give one of {', '.join(known)}.{did_you_mean(name, known)}")
    sys.stdout.write((stages_dir() / f"{name}.yaml").read_text(encoding="utf-8"))
    return 0


def run(args: argparse.Namespace) -> int:
    """Train or plan, or print an example; return the exit code."""
    if args.example is not None:
        return _print_example(args.example)
    from harness.console import quiet_libraries, stderr

    check(args)
    quiet_libraries()
    if args.dry_run is not None:
        _print_plan(plan(args))
        return 0
    done = train(args)
    if int(os.environ.get("RANK", "0")) > 0:
        return 0  # one of several processes prints
    _print_result(done.folder)
    if done.earlier is not None:
        stderr().print(f"{done.earlier}: this stage was already finished; nothing was trained.")
    return 0


@dataclass(frozen=True, kw_only=True)
class TrainedStage:
    """A finished stage.

    Attributes:
        folder: Of its checkpoint.
        earlier: Its name, if an earlier run had finished it and nothing was trained; None otherwise.
    """

    folder: Path
    earlier: str | None


def check(args: argparse.Namespace) -> None:
    """Check that the flags fit together. Raises: InputError: they do not."""
    if args.stage_file is None:
        raise InputError("STAGE.yaml: is missing; give a stage file; `harness train --example sft` prints one.")
    if args.estimate and args.dry_run is None:
        raise InputError("--estimate: belongs to --dry_run; add it, or remove --estimate.")
    if args.output_path is None and args.dry_run is None:
        raise InputError("--output_path: is missing; give a folder for the checkpoint.")


def plan(args: argparse.Namespace) -> Mapping[str, Any]:
    """Return what training would do, as tables by title, and the resolved stage file as ``spec``.

    Raises:
        InputError: a flag or the stage file is wrong.
    """
    from harness.training import find_planner

    spec = _spec(args)
    with _naming(args.stage_file):
        planner = find_planner(spec)
        if planner is None:
            return {"spec": spec}
        return planner(spec, estimate=True) if args.estimate else planner(spec)


def train(args: argparse.Namespace) -> TrainedStage:
    """Train the stage, or resume it.

    Raises:
        InputError: a flag or the stage file is wrong, or the folder holds another stage.
    """
    from harness.checkpoints.stage_manifest import read_manifest
    from harness.training import find_trainer

    spec, output_path = _spec(args), Path(args.output_path[0])
    with _naming(args.stage_file):
        trainer = find_trainer(spec)
        earlier = read_manifest(output_path)
        checkpoint = trainer(spec, output_path)
    finished = earlier is not None and earlier.finished
    return TrainedStage(
        folder=checkpoint.adapter or checkpoint.weights, earlier=earlier.name if earlier and finished else None
    )


def _spec(args: argparse.Namespace) -> dict[str, Any]:
    """Return the stage file with all ``key=value``: argparse gives those after a flag to that flag.

    --output_path runs/a seed=1   ->   output_path is ["runs/a", "seed=1"]
    """
    from harness.training import read_stage

    after_path = (args.output_path or [])[1:]
    return read_stage(args.stage_file, [*args.overrides, *after_path, *(args.dry_run or [])])


@contextmanager
def _naming(stage_file: Path) -> Iterator[None]:
    """Put the stage file's name in front of an error about one of its fields."""
    try:
        yield
    except SpecError as error:
        raise SpecError(f"{stage_file}: {error}") from None


def _print_plan(plan: Mapping[str, Any]) -> None:
    import yaml

    from harness.console import stdout
    from harness.terminal_table import print_table

    console = stdout()
    for title, part in plan.items():
        if title == "spec":
            console.print(yaml.safe_dump(part, sort_keys=False, allow_unicode=True).rstrip(), markup=False)
        elif isinstance(part, Mapping):
            print_table(_table([{"": name, title: str(value)} for name, value in part.items()]), console)
        else:
            print_table(_table(part), console)
        console.print()


def _table(rows: list[dict[str, str]]) -> TerminalTable:
    """Return a table of rows with the same keys; a long path takes several lines."""
    from harness.terminal_table import TableColumn, TableRow, TerminalTable

    texts = [heading in TEXTS or heading.startswith("source") for heading in rows[0]]
    columns = tuple(
        TableColumn(heading=heading, numbers=not text, place="fold" if text else "keep")
        for heading, text in zip(rows[0], texts, strict=True)
    )
    return TerminalTable(columns=columns, rows=tuple(TableRow(cells=tuple(row.values())) for row in rows))


def _notes(source: StreamedSource) -> list[str]:
    """Return what happened to a source's records besides training on them."""
    more = ", ..." if source.skipped > len(source.first_skipped) else ""
    times = "once" if source.repeats == 1 else f"{source.repeats:,} times"
    notes = {
        f"repeated {times}, because it has fewer tokens than its share": source.repeats,
        f"truncated to max_length: {source.cut:,} of {counted(source.records, 'record')}": source.cut,
        "left out, because truncation left nothing to learn from: "
        f"{source.dropped:,} of {counted(source.records, 'record')}": source.dropped,
        f"skipped: {counted(source.skipped, 'wrong record')}: {', '.join(source.first_skipped)}{more}": source.skipped,
        f"left out for the held-out loss: {counted(source.held_out, 'record')}": source.held_out,
        f"without their last turn, which has no answer: {counted(source.unanswered, 'record')}": source.unanswered,
    }
    return [note for note, count in notes.items() if count]


def _print_result(folder: Path) -> None:
    """Print the tokens by source and phase, totals, warnings, and the checkpoint's folder."""
    from harness.checkpoints.metrics_log import METRICS_NAME, held_out_summary, loss_summary
    from harness.checkpoints.stage_manifest import read_manifest
    from harness.console import stdout
    from harness.terminal_table import print_table

    console = stdout()
    manifest = read_manifest(folder)
    if manifest is not None:
        rows = [
            {
                "phase": str(row.phase),
                "source": row.source,
                "tokens": f"{row.tokens:,}",
                "share": f"{row.share:.3f}",
                "planned": f"{row.target_share:.3f}",
            }
            for row in manifest.ledger
        ]
        if rows:
            print_table(_table(rows), console)
            console.print()
        done = (
            f"made from {len(manifest.parents)} checkpoints"
            if len(manifest.parents) > 1
            else f"{counted(manifest.tokens, 'token')} in {counted(manifest.sequences, 'sequence')}, "
            f"{counted(manifest.step, 'step')}"
        )
        console.print(f"{manifest.name}: {done}, {manifest.wall_seconds:,.0f} s", highlight=False)
        for line in (loss_summary(folder / METRICS_NAME), *held_out_summary(manifest)):
            if line:
                console.print(line, highlight=False)
        for source in manifest.sources:
            for note in _notes(source):
                console.print(f"{source.name}: {note}", style="yellow", highlight=False)
        for note in manifest.notes:
            console.print(note, style="yellow", highlight=False)
        if manifest.eval_data:
            console.print(f"trained on evaluation data: {', '.join(manifest.eval_data)}", style="yellow")
        if manifest.inherited_eval_data:
            inherited = ", ".join(manifest.inherited_eval_data)
            console.print(f"earlier stages were trained on evaluation data: {inherited}", style="yellow")
    say(folder, file=sys.stdout)
