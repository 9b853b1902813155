"""`harness run`: run a study from its experiment file, or show its graph."""

from __future__ import annotations

import argparse
import difflib
import fnmatch
import os
import sys
from collections.abc import Collection, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError
from harness.flags import add_wide
from harness.visible import say
from harness.wording import counted

if TYPE_CHECKING:
    from harness.study.executors import Executor
    from harness.study.executors.needs import NeedsSpec
    from harness.study.experiment import ExperimentSpec
    from harness.study.folder import StudyFolder
    from harness.study.nodes import Graph

NEAR_LABELS = 3  # that a message suggests
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
    from harness.console import quiet_libraries
    from harness.study.experiment import read_experiment
    from harness.study.folder import StudyFolder

    experiment, changes = _experiment(args)
    if args.output_path is None:
        raise InputError("--output_path: is missing; give a folder for the study.")
    if not str(args.jobs).isdecimal() or int(args.jobs) < 1:
        raise InputError(f"--jobs {args.jobs}: give a whole number of 1 or more.")
    if args.no_estimate is not None and args.dry_run is None:
        raise InputError("--no_estimate: belongs to --dry_run; add it, or remove --no_estimate.")
    if "," in args.output_path:
        raise InputError(f"--output_path {args.output_path}: has a comma, which separates runs; give another folder.")
    quiet_libraries()
    spec = read_experiment(experiment, changes)
    graph = _graph(experiment, spec)
    wanted = _wanted(graph, args.only)
    folder = StudyFolder(Path(args.output_path))
    folder.check_experiment(spec.name, spec.model_dump(mode="json"), graph)
    folder.check_labels(graph)
    if args.dry_run is not None:
        print_plan(spec, graph, (folder, wanted), estimate=args.no_estimate is None, wide=args.wide)
        return 0
    executor = _executor(args, _needs_ahead(graph, folder, wanted))
    with folder.held():
        return _run(spec, graph, (folder, wanted), executor)


def _graph(experiment: Path, spec: ExperimentSpec) -> Graph:
    from harness.cli.study_words import check_words
    from harness.study.graph import build_graph

    try:
        graph = build_graph(spec)
        for node in graph.values():
            check_words(node)
    except InputError as error:
        raise InputError(f"{experiment}: {error}") from None
    return graph


def _wanted(graph: Graph, only: str | None) -> set[str]:
    """Return the keys of the nodes to run: all, or those of a label, stage or glob, with their ancestors."""
    from harness.study.runner import with_ancestors

    if only is None:
        return set(graph)
    named = [each for node in graph.values() for each in node.names]
    keys = {node.key for node in named if node.stage == only or fnmatch.fnmatchcase(node.label, only)}
    if not keys:
        stages, labels = (
            list(dict.fromkeys(names)) for names in zip(*((n.stage, n.label) for n in named), strict=True)
        )
        near = ", ".join(difflib.get_close_matches(only, labels, n=NEAR_LABELS, cutoff=0.4))
        raise InputError(
            f"--only {only}: no node; give a stage ({', '.join(filter(None, stages))}), a label or a glob."
            + (f" Labels like it: {near}." if near else "")
        )
    return with_ancestors(graph, keys)


def _needs_ahead(graph: Graph, folder: StudyFolder, wanted: Collection[str]) -> tuple[NeedsSpec, ...]:
    """Return what the wanted nodes that are not done need, each once."""
    from harness.study.runner import finished

    done = finished(graph, folder)
    return tuple(dict.fromkeys(node.needs for key, node in graph.items() if key in wanted and key not in done))


def _executor(args: argparse.Namespace, needs: tuple[NeedsSpec, ...]) -> Executor:
    from harness.study.executors import Options, open_executor

    wrong = next((word for word in args.executor_args if "=" not in word), None)
    if wrong is not None:
        raise InputError(f"--executor_args {wrong}: not key=value; write for example slurm_partition=gpu.")
    arguments = dict(word.split("=", 1) for word in args.executor_args)
    if args.ray_address is not None:
        arguments["ray_address"] = args.ray_address
    options = Options(folder=Path(args.output_path) / "executor", jobs=int(args.jobs), arguments=arguments, needs=needs)
    return open_executor(args.executor, options)


def _run(spec: ExperimentSpec, graph: Graph, place: tuple[StudyFolder, Set[str]], executor: Executor) -> int:
    from harness.cli.study_plan import costs_ahead
    from harness.study.experiment import differences
    from harness.study.runner import Runner

    folder, wanted = place
    costs_ahead(graph, folder, wanted, writes=True)
    experiment, before = spec.model_dump(mode="json"), folder.recorded()
    for line in differences(before["experiment"], experiment) if before is not None else ():
        say(f"changed  {line}", file=sys.stderr)
    folder.record(spec.name, experiment, graph)
    runner = Runner(graph, folder, executor, notify=lambda line: say(line, file=sys.stderr))
    known = len(wanted & runner.done.keys())
    if known:
        were = "was" if known == 1 else "were"
        say(f"{known} of {counted(len(wanted), 'node')} {were} done before", file=sys.stderr)
    complete = runner.run(wanted)
    for path in runner.link_pages().values():
        say(path, file=sys.stdout)
    if not complete:
        failed = [folder.label(graph[key]) for key in runner.failed]
        blocked = len(wanted - runner.done.keys()) - len(failed)
        wait = f"{'waits' if blocked == 1 else 'wait'} for {'it' if len(failed) == 1 else 'them'}"
        waiting = f"; {counted(blocked, 'node')} {wait}" if blocked else ""
        say(
            f"failed: {', '.join(failed)}{waiting}. `harness status {folder.path}` shows the logs; run the same "
            "command again to resume.",
            file=sys.stderr,
        )
    return 0 if complete else 1
