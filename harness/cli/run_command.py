"""`harness run`: run a study from its experiment file, or show its graph."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.flags import add_wide
from harness.visible import say

PURPOSE = "Run a study from its experiment file: train, evaluate and compare; run it again to resume."


class _FirstOfSeveral(argparse.Action):
    """Takes the first word for the flag, and the others, which argparse gives to it as well, for ``key=value``."""

    def __call__(self, _parser: object, namespace: argparse.Namespace, values: Any, _flag: object = None) -> None:
        first, *rest = values
        setattr(namespace, self.dest, first)
        namespace.more = [*getattr(namespace, "more", []), *rest]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's flags; the experiment file and ``key=value`` may appear anywhere."""
    experiment = parser.add_argument("experiment", metavar="EXPERIMENT.yaml", help="the study; see docs/study_file.md")
    experiment.required = False  # argparse may give it to a flag that takes several words
    parser.add_argument(
        "overrides", metavar="key=value", nargs="*", default=[], help="change fields of the experiment file"
    )
    value: dict[str, Any] = {"action": _FirstOfSeveral, "nargs": "+"}
    parser.add_argument("--output_path", metavar=("DIR", "key=value"), help="folder of the study", **value)
    parser.add_argument(
        "--dry_run", metavar="key=value", nargs="*", help="print the graph, what is done, and the cost of the rest"
    )
    parser.add_argument(
        "--no_estimate",
        metavar="key=value",
        nargs="*",
        help="with --dry_run: skip the time estimate, which runs two steps per stage and a batch of requests",
    )
    parser.add_argument(
        "--only",
        metavar=("NODE", "key=value"),
        help="run these nodes and what they need: a label, a stage or a glob",
        **value,
    )
    parser.add_argument(
        "--executor", metavar=("NAME", "key=value"), default="local", help="local, ray or slurm", **value
    )
    parser.add_argument(
        "--jobs", metavar=("N", "key=value"), default=1, help="nodes at once, with the local executor", **value
    )
    parser.add_argument(
        "--executor_args",
        metavar="key=value",
        nargs="+",
        default=[],
        help="arguments of the executor, such as slurm's slurm_partition=gpu timeout_min=600",
    )
    parser.add_argument("--ray_address", metavar="ADDRESS", help="of a Ray cluster; without it, ray starts one here")
    add_wide(parser)


def _experiment(args: argparse.Namespace) -> tuple[Path, list[str]]:
    """Return the experiment file, which is the first word without ``=``, and the words that change its fields.

    --output_path out study.yaml name=b   ->   argparse gives the last two to the flag: more = [study.yaml, name=b]

    Raises:
        InputError: there is no such word.
    """
    first = [] if args.experiment is None else [args.experiment]
    changes = [*first, *args.overrides, *getattr(args, "more", [])]
    changes += [*(args.dry_run or []), *(args.no_estimate or [])]
    for words in (changes, args.executor_args):
        for word in words:
            if "=" not in word or os.path.isfile(word):  # noqa: PTH113 - false for a word too long for a path, too
                words.remove(word)
                return Path(word), changes
    raise InputError("EXPERIMENT.yaml: is missing; give the file of a study, see docs/study_file.md.")


def run(args: argparse.Namespace) -> int:
    """Run or show the study; return 0, or 1 if a node failed."""
    from harness.cli.study_plan import print_plan
    from harness.cli.study_work import read_study, run_study
    from harness.console import quiet_libraries

    experiment, changes = checked_words(args)
    quiet_libraries()
    study = read_study(experiment, changes, args)
    if args.dry_run is not None:
        place = study.folder, study.wanted
        print_plan(study.spec, study.graph, place, estimate=args.no_estimate is None, wide=args.wide)
        return 0
    end = run_study(study, args, notify=lambda line: say(line, file=sys.stderr))
    for path in end.pages.values():
        say(path, file=sys.stdout)
    if end.fault:
        say(end.fault, file=sys.stderr)
    return 1 if end.fault else 0


def checked_words(args: argparse.Namespace) -> tuple[Path, list[str]]:
    """Return the experiment file and the changes of its fields. Raises: InputError: a flag is wrong."""
    experiment, changes = _experiment(args)
    if args.output_path is None:
        raise InputError("--output_path: is missing; give a folder for the study.")
    if not str(args.jobs).isdecimal() or int(args.jobs) < 1:
        raise InputError(f"--jobs {args.jobs}: give a whole number of 1 or more.")
    if args.no_estimate is not None and args.dry_run is None:
        raise InputError("--no_estimate: belongs to --dry_run; add it, or remove --no_estimate.")
    if "," in args.output_path:
        raise InputError(f"--output_path {args.output_path}: has a comma, which separates runs; give another folder.")
    return experiment, changes
