"""Reads and runs a study for `harness run` and the Python API; prints nothing."""

from __future__ import annotations

import argparse
import difflib
import fnmatch
from collections.abc import Callable, Collection, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.wording import counted

if TYPE_CHECKING:
    from harness.study.executors import Executor
    from harness.study.executors.needs import NeedsSpec
    from harness.study.experiment import ExperimentSpec
    from harness.study.folder import StudyFolder
    from harness.study.nodes import Graph
    from harness.study.runner import Runner

NEAR_LABELS = 3  # that a message suggests


@dataclass(frozen=True, kw_only=True)
class PreparedStudy:
    """A study before it runs.

    Attributes:
        spec: The experiment.
        graph: Its graph.
        folder: Its folder.
        wanted: Keys of the nodes to run.
    """

    spec: ExperimentSpec
    graph: Graph
    folder: StudyFolder
    wanted: Set[str]


@dataclass(frozen=True, kw_only=True)
class StudyEnd:
    """How a run of a study ended.

    Attributes:
        pages: The pages of its reports, by label; the main one is the last.
        fault: Which nodes failed, and what to do; empty if all wanted nodes are done.
    """

    pages: Mapping[str, str]
    fault: str


def read_study(experiment: Path, changes: Sequence[str], args: argparse.Namespace) -> PreparedStudy:
    """Read and check the study; nothing is written.

    Raises:
        InputError: the experiment file or a flag is wrong, or the folder holds something else.
    """
    from harness.study.experiment import read_experiment
    from harness.study.folder import StudyFolder

    spec = read_experiment(experiment, changes)
    graph = _graph(experiment, spec)
    wanted = _wanted(graph, args.only)
    folder = StudyFolder(Path(args.output_path))
    folder.check_experiment(spec.name, spec.recorded(), graph)
    folder.check_labels(graph)
    return PreparedStudy(spec=spec, graph=graph, folder=folder, wanted=wanted)


def run_study(study: PreparedStudy, args: argparse.Namespace, notify: Callable[[str], None]) -> StudyEnd:
    """Run the wanted nodes that are not done.

    Args:
        study: The study.
        args: The parsed flags, for the executor.
        notify: Gets a line for each node that begins or ends.

    Raises:
        InputError: a node would be refused, or another process runs the study.
    """
    executor = _executor(args, _needs_ahead(study.graph, study.folder, study.wanted))
    with study.folder.held():
        return _run(study, executor, notify)


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
            f"--only {only}: matches no node; give a stage ({', '.join(filter(None, stages))}), a label or a glob."
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


def _run(study: PreparedStudy, executor: Executor, notify: Callable[[str], None]) -> StudyEnd:
    from harness.cli.study_plan import costs_ahead
    from harness.study.experiment import differences
    from harness.study.runner import Runner

    graph, folder, wanted = study.graph, study.folder, study.wanted
    costs_ahead(graph, folder, wanted, writes=True)
    experiment, before = study.spec.recorded(), folder.recorded()
    for line in differences(before["experiment"], experiment) if before is not None else ():
        notify(f"changed  {line}")
    folder.record(study.spec.name, experiment, graph)
    runner = Runner(graph, folder, executor, notify=notify)
    known = len(wanted & runner.done.keys())
    if known:
        were = "was" if known == 1 else "were"
        notify(f"{known} of {counted(len(wanted), 'node')} {were} done before")
    complete = runner.run(wanted)
    return StudyEnd(pages=runner.link_pages(), fault="" if complete else _fault(runner, study))


def _fault(runner: Runner, study: PreparedStudy) -> str:
    failed = [study.folder.label(study.graph[key]) for key in runner.failed]
    blocked = len(study.wanted - runner.done.keys()) - len(failed)
    wait = f"{'waits' if blocked == 1 else 'wait'} for {'it' if len(failed) == 1 else 'them'}"
    waiting = f"; {counted(blocked, 'node')} {wait}" if blocked else ""
    return (
        f"failed: {', '.join(failed)}{waiting}. `harness status {study.folder.path}` shows the logs; run the same "
        "command again to resume."
    )
