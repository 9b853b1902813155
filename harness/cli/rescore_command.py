"""``harness rescore RUN``: the answers of an earlier run, scored with the current tasks and metrics."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.flags import add_wide
from harness.paths import check_data_dir, split_folders
from harness.redaction import recorded_command

PURPOSE = "Score the answers of an earlier run again, with the current tasks and metrics."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("run", type=Path, metavar="RUN", help="run folder (its latest run) or a run_<time>.json")
    parser.add_argument(
        "--include_path",
        type=split_folders,
        action="extend",
        default=[],
        metavar="DIR",
        help="folder of task YAML files whose code you trust, or several as a:b; repeatable",
    )
    parser.add_argument("--data_dir", type=Path, metavar="DIR", help="benchmark data (HARNESS_DATA)")
    parser.add_argument("--model", metavar="CKPT", help="checkpoint whose chat template the run used")
    parser.add_argument(
        "--tokenizer", metavar="PATH_OR_ID", help="tokenizer whose chat template the run used, if not the checkpoint's"
    )
    parser.add_argument("--unsafe_code", choices=("allow",), help="run model-written programs without a sandbox")
    add_wide(parser)


def run(args: argparse.Namespace) -> int:
    """Write a new record next to the old one; returns 0 when it is complete."""
    from harness.console import quiet_libraries

    quiet_libraries()
    from harness.cli.console import print_failures, print_run
    from harness.evaluation.rescoring import RescoreOptions, rescore

    check_data_dir(args.data_dir)
    options = RescoreOptions(
        include_paths=tuple(args.include_path),
        data_dir=args.data_dir,
        model=args.model,
        tokenizer=args.tokenizer,
        command=recorded_command(["harness", *sys.argv[1:]]),
        unsafe_code=args.unsafe_code == "allow",
    )
    done = rescore(args.run, options)
    print_run(done, wide=args.wide)
    print_failures(done.record)
    return 0 if done.record.complete else 1
