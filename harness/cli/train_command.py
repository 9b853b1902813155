"""`harness train`: make a checkpoint as a stage file says, or show what would be done."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import InputError

PURPOSE = "Make a checkpoint as a stage file says; the same command again goes on after a stop."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags; ``key=value`` may stand anywhere after the stage file."""
    parser.add_argument(
        "stage_file", metavar="STAGE.yaml", type=Path, help="what to train, on what; see docs/training.md"
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
        help="folder for the checkpoint; the same command again goes on after a stop",
    )
    parser.add_argument(
        "--dry_run",
        metavar="key=value",
        nargs="*",
        help="print the spec, the budget, steps, parameters and memory; train nothing",
    )


def run(args: argparse.Namespace) -> int:
    """Train, or plan; returns the exit code."""
    from harness.checkpoints.stage_manifest import read_manifest
    from harness.console import quiet_libraries, stderr
    from harness.training import find_planner, find_trainer, read_stage

    # argparse ends a list of words at the next flag, so that those after a flag come with it.
    output_path, *after_path = args.output_path or [None]
    dry_run = args.dry_run is not None
    if output_path is None and not dry_run:
        raise InputError("--output_path: is missing; give the folder that the checkpoint goes to.")
    quiet_libraries()
    spec = read_stage(args.stage_file, [*args.overrides, *after_path, *(args.dry_run or [])])
    if dry_run:
        planner = find_planner(spec)
        _print_plan(planner(spec) if planner is not None else {"spec": spec})
        return 0
    trainer = find_trainer(spec)
    before = read_manifest(Path(output_path))
    checkpoint = trainer(spec, Path(output_path))
    if int(os.environ.get("RANK", "0")) > 0:
        return 0  # of several processes one tells
    _print_result(checkpoint.adapter or checkpoint.weights)
    if before is not None and before.finished:
        stderr().print(f"{before.name}: this stage was finished before; nothing was trained.")
    return 0


def _print_plan(plan: Mapping[str, Any]) -> None:
    import yaml

    from harness.console import stdout

    console = stdout()
    for title, part in plan.items():
        if title == "spec":
            console.print(yaml.safe_dump(part, sort_keys=False, allow_unicode=True).rstrip(), markup=False)
        elif isinstance(part, Mapping):
            console.print(_table([{"": name, title: str(value)} for name, value in part.items()]))
        else:
            console.print(_table(part))
        console.print()


def _table(rows: list[dict[str, str]]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in rows[0]:
        table.add_column(heading, header_style="dim", justify="right" if heading in ("tokens", "share") else "left")
    for row in rows:
        table.add_row(*row.values())
    return table


def _print_result(folder: Path) -> None:
    """The ledger as streamed, and what to do next."""
    from harness.checkpoints.stage_manifest import read_manifest
    from harness.console import stdout

    console = stdout()
    manifest = read_manifest(folder)
    if manifest is not None:
        rows = [
            {"phase": str(row.phase), "source": row.source, "tokens": f"{row.tokens:,}", "share": f"{row.share:.3f}"}
            for row in manifest.ledger
        ]
        console.print(_table(rows))
        console.print(
            f"\n{manifest.name}: {manifest.tokens:,} tokens in {manifest.sequences:,} sequences, "
            f"{manifest.step:,} {'step' if manifest.step == 1 else 'steps'}, {manifest.wall_seconds:,.0f} s",
            highlight=False,
        )
        for source in manifest.sources:
            if source.cut or source.dropped:
                console.print(
                    f"{source.name}: of {source.records:,} records {source.cut:,} were cut to max_length and "
                    f"{source.dropped:,} left out, because nothing to learn was left of them",
                    style="yellow",
                )
        if manifest.eval_data:
            console.print(f"trained on evaluation data: {', '.join(manifest.eval_data)}", style="yellow")
    print(folder, file=sys.stdout)
