"""``harness export RUNS --format NAME``: the records in another format, and a push to the hub if asked for."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.errors import InputError

PURPOSE = "Export runs: Every Eval Ever, Parquet, CSV, lm-eval's layout, or files of a hub repository."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    from harness.export.registry import exporter_names

    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUNS",
        help="folders with runs of `harness eval` or `lm_eval --log_samples`, at any depth",
    )
    parser.add_argument("--format", required=True, choices=list(exporter_names()), help="what to write")
    parser.add_argument("--output_path", type=Path, required=True, metavar="DIR", help="folder for the files")
    parser.add_argument(
        "--model_id",
        metavar="ORG/NAME",
        help="id of the model in the files (default: its hub id, else local/NAME, with a name made from its lineage)",
    )
    parser.add_argument(
        "--tasks",
        default="",
        metavar="NAMES",
        help="task names or patterns (mini_*), separated by commas; default: all",
    )
    parser.add_argument("--skip_broken", action="store_true", help="leave damaged files out, and add a note")
    parser.add_argument(
        "--push_to",
        metavar="ORG/NAME",
        help="with --format hub: upload the files to this model repository; without it nothing leaves this machine",
    )


def run(args: argparse.Namespace) -> int:
    """Write the files, and push them if asked for; returns 0."""
    from harness.export.naming import check_model_id

    if args.model_id is not None:
        check_model_id(args.model_id)
    if args.push_to is not None:
        _check_push(args)

    from harness.console import quiet_libraries

    quiet_libraries()
    from harness.export import ExportOptions, find_exporter
    from harness.export.files import write_files
    from harness.records import load
    from harness.visible import say

    tasks = [name.strip() for name in args.tasks.split(",") if name.strip()]
    records = load(args.runs, tasks=tasks, skip_broken=args.skip_broken)
    notes = dict.fromkeys([*records.skipped, *records.empty])
    options = ExportOptions(model_id=args.model_id or args.push_to, note=lambda note: notes.update({note: None}))
    files = write_files(find_exporter(args.format)(records, options), args.output_path)
    for note in notes:
        say(f"note: {note}", file=sys.stderr)
    say(f"written: {len(files)} file{'s' if len(files) != 1 else ''} below {args.output_path}", file=sys.stderr)
    if args.push_to is not None:
        from harness.export.push import push

        say(f"pushed: {push(files, args.output_path, args.push_to)}", file=sys.stderr)
    return 0


def _check_push(args: argparse.Namespace) -> None:
    """Refuse a push that cannot work, before anything is written. Raises: InputError."""
    from harness.export.naming import check_model_id
    from harness.export.push import check_online

    if args.format != "hub":
        raise InputError(f"--push_to {args.push_to}: only files of --format hub can be pushed; give --format hub.")
    check_model_id(args.push_to, flag="--push_to")
    check_online(args.push_to)
