"""The plan of `harness power` for an experiment: its factors, seeds and items.

factors: {pretrain: [N, C], tune: [N, C]}
main: [pretrain, tune]
pretraining: [pretrain]
seeds: 3
tasks: {mini_logic: {items: 200, clusters: 10, chance: 0.25, domain: logic}}
"""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence
from typing import Any

from harness.checkpoints.plots import plots_of
from harness.evaluation.counting import TaskSize
from harness.study.design import chain_of
from harness.study.experiment import CompareSpec
from harness.study.nodes import SEED, Graph, Node, nodes_of

LEAST_SEEDS = 2
LEAST_CLUSTERS = 2


def why_no_plan(stage: str, compare: CompareSpec, graph: Graph) -> str | None:
    """Return why `harness power` does not apply to a comparison of this stage; None if it does."""
    levels = _levels(nodes_of(graph, stage, "train"))
    if not _factors(compare, levels):
        return "no factor has two levels or more"
    if len(levels.get(SEED, ())) < LEAST_SEEDS:
        return f"the factor {SEED} has fewer than {LEAST_SEEDS} levels"
    return None


def power_plan(stage: str, compare: CompareSpec, graph: Graph, sizes: Mapping[str, TaskSize]) -> dict[str, Any]:
    """Return the plan, without tasks of one item or cluster, which say nothing about scatter.

    Args:
        stage: The compared stage.
        compare: The comparison; its `tasks` are names or patterns.
        graph: The graph.
        sizes: Of the tasks on which the stage is evaluated.
    """
    tasks = {
        name: {
            "items": size.items,
            "clusters": size.clusters,
            "chance": size.chance,
            "domain": size.domain,
            "items_from": size.items_from,
        }
        for name, size in sizes.items()
        if size.clusters >= LEAST_CLUSTERS and any(fnmatch.fnmatch(name, each) for each in compare.tasks or ["*"])
    }
    levels = _levels(nodes_of(graph, stage, "train"))
    factors = _factors(compare, levels)
    plan: dict[str, Any] = {"factors": factors, "seeds": len(levels[SEED]), "tasks": tasks}
    if len(factors) > 1:
        plan["main"] = list(factors)[:2]
    of_pretraining = _of_pretraining(stage, graph)
    if of_pretraining is not None:
        plan["pretraining"] = [name for name in factors if name in of_pretraining]
    return plan


def _of_pretraining(stage: str, graph: Graph) -> set[str] | None:
    """Return the factors that never differ within a pre-training run of a stage; None if another stage trains it.

    Where all runs come from one checkpoint, the runs themselves are the units, so these are all factors.
    """
    compared = nodes_of(graph, stage, "train")
    if not compared:
        return None
    cells: dict[str, list[Mapping[str, str]]] = {}
    for node, plot in zip(compared, plots_of([chain_of(node, graph) for node in compared]), strict=True):
        cells.setdefault(node.key if plot is None else plot, []).append(node.cell)
    if len(cells) == 1:
        return set(compared[0].cell)
    return {name for name in compared[0].cell if all(len({c[name] for c in own}) == 1 for own in cells.values())}


def _levels(nodes: Sequence[Node]) -> dict[str, list[str]]:
    """Return the levels of the factors that a stage depends on, in the order of the file."""
    return {name: list(dict.fromkeys(node.cell[name] for node in nodes)) for name in nodes[0].cell}


def _factors(compare: CompareSpec, levels: Mapping[str, list[str]]) -> dict[str, list[str]]:
    """Return the levels of the factors of ``compare.design``; without it, of all factors of the stage but the seed.

    A factor with one level is left out, as in the design itself.
    """
    names = compare.design or [name for name in levels if name != SEED]
    return {name: levels[name] for name in names if len(levels[name]) > 1}
