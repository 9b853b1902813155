"""`harness run`: run a study from its experiment file, or show its graph."""

from __future__ import annotations

import argparse
import fnmatch
import os
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, cast

from harness.errors import InputError, did_you_mean
from harness.visible import say

if TYPE_CHECKING:
    from harness.evaluation.spec import EvaluationSpec
    from harness.study.costs import Cost
    from harness.study.executors import Executor
    from harness.study.executors.needs import NeedsSpec
    from harness.study.experiment import CompareSpec, ExperimentSpec
    from harness.study.folder import StudyFolder
    from harness.study.nodes import Evaluation, Graph, Node

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
        "--estimate",
        action="store_true",
        help="with --dry_run: also time two steps per stage and a batch of requests, to estimate the study's duration",
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


def _experiment(args: argparse.Namespace) -> tuple[Path, list[str]]:
    """Return the experiment file, which is the first word without ``=``, and the words that change its fields.

    --output_path out study.yaml name=b   ->   argparse gives the last two to the flag: more = [study.yaml, name=b]

    Raises:
        InputError: there is no such word.
    """
    first = [] if args.experiment is None else [args.experiment]
    changes = [*first, *args.overrides, *getattr(args, "more", []), *(args.dry_run or [])]
    for words in (changes, args.executor_args):
        for word in words:
            if "=" not in word or os.path.isfile(word):  # noqa: PTH113 - false for a word too long for a path, too
                words.remove(word)
                return Path(word), changes
    raise InputError("EXPERIMENT.yaml: is missing; give the file of a study, see docs/study_file.md.")


def run(args: argparse.Namespace) -> int:
    """Run or show the study; return 0, or 1 if a node failed."""
    from harness.console import quiet_libraries
    from harness.study.experiment import read_experiment
    from harness.study.folder import StudyFolder

    experiment, changes = _experiment(args)
    if args.output_path is None:
        raise InputError("--output_path: is missing; give a folder for the study.")
    if not str(args.jobs).isdecimal() or int(args.jobs) < 1:
        raise InputError(f"--jobs {args.jobs}: give a whole number from 1.")
    if args.estimate and args.dry_run is None:
        raise InputError("--estimate: belongs to --dry_run; add it, or remove --estimate.")
    if "," in args.output_path:
        raise InputError(f"--output_path {args.output_path}: has a comma, which separates runs; give another folder.")
    quiet_libraries()
    spec = read_experiment(experiment, changes)
    graph = _graph(experiment, spec)
    wanted = _wanted(graph, args.only)
    folder = StudyFolder(Path(args.output_path))
    folder.check_experiment(spec.name)
    folder.check_labels(graph)
    if args.dry_run is not None:
        return _dry_run(spec, graph, (folder, wanted), estimate=args.estimate)
    executor = _executor(args, _needs_ahead(graph, folder, wanted))
    with folder.held():
        return _run(spec, graph, (folder, wanted), executor)


def _graph(experiment: Path, spec: ExperimentSpec) -> Graph:
    from harness.study.graph import build_graph

    try:
        graph = build_graph(spec)
        for node in graph.values():
            _check_words(node)
    except InputError as error:
        raise InputError(f"{experiment}: {error}") from None
    return graph


def _wanted(graph: Graph, only: str | None) -> set[str]:
    """Return the keys of the nodes to run: all, or those of a label, stage or glob, with their ancestors."""
    from harness.study.runner import with_ancestors

    if only is None:
        return set(graph)
    keys = {key for key, node in graph.items() if node.stage == only or fnmatch.fnmatchcase(node.label, only)}
    if not keys:
        labels = [node.label for node in graph.values()]
        raise InputError(f"--only {only}: no node; give one of {', '.join(labels)}.{did_you_mean(only, labels)}")
    return with_ancestors(graph, keys)


def _check_words(node: Node) -> None:
    """Check the flags of a node's command, long before it runs."""
    from harness.study.nodes import Evaluation, Overlap, Report

    if isinstance(node.work, Evaluation):
        _parsed(["eval", *_eval_words(node.work)], "evaluate.flags")
    elif isinstance(node.work, Overlap):
        _check_values("overlap", _parsed(["overlap", "checkpoint", *node.work.words], "overlap"))
    elif isinstance(node.work, Report):
        _parsed([*node.work.words, "--format", "html"], "compare")


def _check_values(command: str, args: argparse.Namespace) -> None:
    from harness.cli.commands import CheckedCommand, load_command

    try:
        cast("CheckedCommand", load_command(command)).check(args)
    except InputError as error:
        raise InputError(f"{command}: {error}") from None


def _eval_words(work: Evaluation, model: str = "checkpoint") -> list[str]:
    return ["--model", model, "--tasks", ",".join(work.tasks), "--output_path", "records", *work.flags]


def _parsed(words: Sequence[str], section: str) -> argparse.Namespace:
    """Return the parsed words of a command. Raises: InputError: it has no such flag, or the value is wrong."""
    from harness.cli import Parser
    from harness.cli.commands import load_command

    class Checking(Parser):
        def error(self, message: str) -> NoReturn:
            raise InputError(f"{section}: {message}; see `harness {words[0]} --help`.")

    parser = Checking(prog=words[0], allow_abbrev=False)
    load_command(words[0]).add_arguments(parser)
    return parser.parse_args(words[1:])


def _evaluation(node: Node, model: str = "checkpoint") -> EvaluationSpec:
    """Return the spec of a node's evaluation, for this model."""
    from harness.cli.eval_command import evaluation_spec
    from harness.study.nodes import Evaluation

    assert isinstance(node.work, Evaluation)
    return evaluation_spec(_parsed(["eval", *_eval_words(node.work, model)], "evaluate.flags"))


def _count_requests(node: Node) -> int:
    from harness.evaluation.counting import task_sizes

    return sum(size.requests for size in task_sizes(_evaluation(node)).values())


def _metrics(node: Node) -> dict[str, set[str]]:
    from harness.evaluation.counting import task_sizes

    return {task: set(size.metrics) for task, size in task_sizes(_evaluation(node)).items()}


def _time_batch(node: Node, checkpoint: Path) -> float:
    from harness.evaluation.timing import seconds_per_request

    return seconds_per_request(_evaluation(node, str(checkpoint)))


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


def _costs(graph: Graph, folder: StudyFolder, keys: Collection[str], *, writes: bool) -> dict[str, Cost]:
    """Return the costs of the nodes that are not done. Raises: InputError: a node would be refused."""
    from harness.study.costs import Costs, check_disk
    from harness.study.reporting import check_selections
    from harness.study.runner import finished

    done = finished(graph, folder)
    costs = Costs(graph, folder, done, _count_requests, writes=writes)
    ahead = {key: costs.of(node) for key, node in graph.items() if key in keys and key not in done}
    check_selections(graph, ahead, _metrics)
    check_disk(ahead.values(), folder.path)
    return ahead


def _run(spec: ExperimentSpec, graph: Graph, place: tuple[StudyFolder, Set[str]], executor: Executor) -> int:
    from harness.study.experiment import differences
    from harness.study.runner import Runner

    folder, wanted = place
    _costs(graph, folder, wanted, writes=True)
    experiment, before = spec.model_dump(mode="json"), folder.recorded()
    for line in differences(before["experiment"], experiment) if before is not None else ():
        say(f"changed  {line}", file=sys.stderr)
    folder.record(spec.name, experiment, graph)
    runner = Runner(graph, folder, executor, notify=lambda line: say(line, file=sys.stderr))
    known = len(wanted & runner.done.keys())
    if known:
        say(f"{known} of {len(wanted)} nodes were done before", file=sys.stderr)
    complete = runner.run(wanted)
    for path in runner.link_pages().values():
        say(path, file=sys.stdout)
    if not complete:
        failed = [folder.label(graph[key]) for key in runner.failed]
        blocked = len(wanted - runner.done.keys()) - len(failed)
        say(
            f"failed: {', '.join(failed)}; {blocked} nodes wait for them. `harness status {folder.path}` shows their "
            "logs; run the same command again to go on.",
            file=sys.stderr,
        )
    return 0 if complete else 1


def _dry_run(spec: ExperimentSpec, graph: Graph, place: tuple[StudyFolder, Set[str]], *, estimate: bool) -> int:
    from harness.cli.study_tables import print_graph

    folder, wanted = place
    ahead = _costs(graph, folder, wanted, writes=False)
    if estimate:
        ahead = _timed(graph, folder, ahead)
    print_graph(graph, folder, ahead, wanted)
    # Comparisons of the same arms by several metrics share one plan.
    for compare in {(one.stage, one.design): one for one in spec.compare}.values():
        _print_power(spec, compare, graph)
    return 0


def _timed(graph: Graph, folder: StudyFolder, ahead: Mapping[str, Cost]) -> dict[str, Cost]:
    """Return the costs with the estimated time of each node, and print what could not be timed."""
    from harness.study.runner import finished
    from harness.study.timing import Timings

    with Timings(graph, folder, finished(graph, folder), _time_batch) as timings:
        timed = {key: timings.timed(graph[key], cost) for key, cost in ahead.items()}
    for name, reason in timings.failed.items():
        say(f"{name}: not timed: {reason}", file=sys.stderr)
    return timed


def _print_power(spec: ExperimentSpec, compare: CompareSpec, graph: Graph) -> None:
    """Print the output of `harness power` for the compared stage's seeds and items."""
    import yaml

    from harness.cli.commands import load_command
    from harness.evaluation.counting import task_sizes
    from harness.study.power import power_plan, why_no_plan

    stage = compare.stage or list(spec.stages)[-1]
    reason = why_no_plan(spec, compare)
    if reason is not None:
        say(f"\n{stage}: power with these seeds and items is not known: {reason}.", file=sys.stdout)
        return
    nodes = {node.alike: node for node in graph.values() if node.kind == "evaluate" and node.stage == stage}
    sizes = {name: size for node in nodes.values() for name, size in task_sizes(_evaluation(node)).items()}
    say(f"\n{stage}: power with these seeds and items:\n", file=sys.stdout)
    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "plan.yaml"
        trained = [node for node in graph.values() if node.kind == "train"]
        plan = yaml.safe_dump(power_plan(spec, compare, trained, sizes), allow_unicode=True, sort_keys=False)
        file.write_text(plan, encoding="utf-8")
        load_command("power").run(_parsed(["power", str(file)], "compare"))
