"""What a study would do and cost: `harness run --dry_run`, and the checks before a run."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Collection, Set
from pathlib import Path
from typing import TYPE_CHECKING

from harness.cli.study_words import parsed, sizes_of, time_batch
from harness.visible import say
from harness.wording import counted

if TYPE_CHECKING:
    from harness.study.costs import Cost
    from harness.study.experiment import CompareSpec, ExperimentSpec
    from harness.study.folder import StudyFolder
    from harness.study.nodes import Graph, Node

TASKS_NAMED = 12  # of those that a search looks for
SHARES = ("acc", "exact_match", "pass@1")  # metrics that are 0 or 1 for an item, as `harness power` takes them


def costs_ahead(graph: Graph, folder: StudyFolder, keys: Collection[str], *, writes: bool) -> dict[str, Cost]:
    """Return the costs of the nodes that are not done.

    Args:
        graph: The graph.
        folder: The study's folder.
        keys: The nodes that are wanted.
        writes: Whether results are stored in the study's folder.

    Raises:
        InputError: a node would be refused, or the disk is too small.
    """
    from harness.study.costs import Costs, check_disk
    from harness.study.reporting import check_selections
    from harness.study.runner import finished

    done = finished(graph, folder)
    nodes = {key: node for key, node in graph.items() if key in keys and key not in done}
    check_selections(graph, nodes, _metrics)  # before stages are planned, which takes long
    costs = Costs(graph, folder, done, _count_requests, writes=writes)
    ahead = {key: costs.of(node) for key, node in nodes.items()}
    check_disk(ahead.values(), folder.path)
    return ahead


def _count_requests(node: Node) -> int:
    return sum(size.requests for size in sizes_of(node).values())


def _metrics(node: Node) -> dict[str, set[str]]:
    """Return the metrics that a page about an evaluation can show, by task."""
    from harness.study.reporting import COMPUTED_METRICS

    return {
        task: {*size.metrics, *(COMPUTED_METRICS if size.has_likelihoods else ())}
        for task, size in sizes_of(node).items()
    }


def print_plan(
    spec: ExperimentSpec, graph: Graph, place: tuple[StudyFolder, Set[str]], *, estimate: bool, wide: bool
) -> None:
    """Print graph, cost, searches for overlap, and what the comparisons can detect; write nothing.

    Args:
        spec: The experiment.
        graph: Its graph.
        place: The study's folder, and the keys of the nodes that are wanted.
        estimate: Whether to time stages and evaluations for which no finished node gives a time.
        wide: Print every column, however narrow the terminal is.

    Raises:
        InputError: a node would be refused, or the disk is too small.
    """
    from harness.cli.study_tables import print_graph
    from harness.study.reporting import with_members

    folder, wanted = place
    ahead = planned_costs(graph, place, estimate=estimate, notify=lambda line: say(line, file=sys.stderr))
    print_graph(graph, folder, ahead, wanted, wide=wide)
    _print_searches(graph, ahead)
    printed: list[str] = []  # comparisons of the same arms by several metrics share one plan
    for compare in with_members(spec):
        _print_power(compare.stage or list(spec.stages)[-1], compare, graph, printed, wide=wide)


def planned_costs(
    graph: Graph, place: tuple[StudyFolder, Set[str]], *, estimate: bool, notify: Callable[[str], None]
) -> dict[str, Cost]:
    """Return the costs of the nodes that are not done; write nothing into the study's folder.

    Args:
        graph: The graph.
        place: The study's folder, and the keys of the nodes that are wanted.
        estimate: Whether to time stages and evaluations for which no finished node gives a time.
        notify: Gets a line for each node that is timed, and for each that cannot be timed.

    Raises:
        InputError: a node would be refused, or the disk is too small.
    """
    from harness.study.runner import finished
    from harness.study.starts import with_starts
    from harness.study.timing import Timings

    folder, wanted = place
    ahead = costs_ahead(graph, folder, wanted, writes=False)
    if not estimate:
        return ahead
    done = finished(graph, folder)
    with Timings(graph, folder, done, time_batch, lambda name: notify(f"timing   {name}")) as timings:
        timed = {key: timings.timed(graph[key], cost) for key, cost in ahead.items()}
    for name, reason in timings.failed.items():
        notify(f"{name}: not timed: {reason}")
    estimated = [key for key, cost in ahead.items() if cost.seconds is None]
    return timed | with_starts(graph, {key: timed[key] for key in estimated})


def _print_searches(graph: Graph, ahead: Collection[str]) -> None:
    """Print how many items the overlap searches will look for: all of a task, even if its evaluation has a limit."""
    from harness.study.nodes import Evaluation, Overlap

    searches = [graph[key].work for key in ahead if graph[key].kind == "overlap"]
    arms = {key for work in searches if isinstance(work, Overlap) for key in work.arm}
    items: dict[str, int] = {}
    for node in graph.values():
        if isinstance(node.work, Evaluation) and node.work.checkpoint in arms:
            items |= {name: size.items_without_limit for name, size in sizes_of(node).items()}
    if items:
        named = ", ".join(list(items)[:TASKS_NAMED]) + (", ..." if len(items) > TASKS_NAMED else "")
        counts = f"{counted(sum(items.values()), 'item')} of {counted(len(items), 'task')}"
        searched = counted(len(searches), "arm")
        say(f"Overlap: the training data of {searched} will be searched for {counts}: {named}.", file=sys.stdout)


def _print_power(stage: str, compare: CompareSpec, graph: Graph, printed: list[str], *, wide: bool = False) -> None:
    """Print the output of `harness power` for the compared stage's seeds and items.

    Args:
        stage: The compared stage.
        compare: The comparison.
        graph: The graph.
        printed: Plans that were printed before, and reasons for none; this one is added.
        wide: Print every column, however narrow the terminal is.
    """
    from harness.study.power import why_no_plan

    reason = why_no_plan(stage, compare, graph)
    if reason is not None and compare.contrasts:  # with another stage, which is no question about factors
        return
    plan = _plan(stage, compare, graph) if reason is None else ""
    text = f"{stage}: power with these seeds and items" + (f" is not known: {reason}." if reason else ":\n")
    if text + plan not in printed:
        printed.append(text + plan)
        say(f"\n{text}", file=sys.stdout)
        if plan:
            _print_plan(plan, *(["--wide"] if wide else []))
    if plan and compare.metric is not None and not compare.metric.startswith(SHARES):
        say(f"{compare.name} compares by {compare.metric}; this power is of accuracies.", file=sys.stdout)


def _plan(stage: str, compare: CompareSpec, graph: Graph) -> str:
    import yaml

    from harness.study.nodes import nodes_of
    from harness.study.power import power_plan

    nodes = {node.alike: node for node in nodes_of(graph, stage, "evaluate")}
    sizes = {name: size for node in nodes.values() for name, size in sizes_of(node).items()}
    return str(yaml.safe_dump(power_plan(stage, compare, graph, sizes), allow_unicode=True, sort_keys=False))


def _print_plan(plan: str, *flags: str) -> None:
    from harness.cli.commands import load_command

    with tempfile.TemporaryDirectory() as place:
        file = Path(place) / "plan.yaml"
        file.write_text(plan, encoding="utf-8")
        load_command("power").run(parsed(["power", str(file), *flags], "compare"))
