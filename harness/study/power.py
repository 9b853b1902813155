"""The plan of `harness power` for an experiment: its factors, seeds and items.

factors: {pretrain: [N, C], tune: [N, C]}
main: [pretrain, tune]
pretraining: [pretrain]
seeds: 3
tasks: {mini_logic: {items: 200, clusters: 10, chance: 0.25, domain: logic}}
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.checkpoints.plots import plots_of
from harness.evaluation.counting import TaskSize
from harness.study.design import chain_of, varied
from harness.study.experiment import CompareSpec, ExperimentSpec
from harness.study.nodes import Node

SEED = "seed"
LEAST_SEEDS = 2
LEAST_CLUSTERS = 2


def why_no_plan(spec: ExperimentSpec, compare: CompareSpec) -> str | None:
    """Return why `harness power` does not apply to a comparison; None if it does."""
    if not _factors(spec, compare):
        return "no factor has two levels or more"
    if len(spec.factors.get(SEED, ())) < LEAST_SEEDS:
        return f"the factor {SEED} has fewer than {LEAST_SEEDS} levels"
    return None


def power_plan(
    spec: ExperimentSpec, compare: CompareSpec, nodes: Sequence[Node], sizes: Mapping[str, TaskSize]
) -> dict[str, Any]:
    """Return the plan, without tasks of one item or cluster, which say nothing about scatter.

    Args:
        spec: The experiment.
        compare: One of its comparisons.
        nodes: All nodes that train checkpoints.
        sizes: Of the tasks on which the compared stage is evaluated.
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
        if size.clusters >= LEAST_CLUSTERS
    }
    factors = _factors(spec, compare)
    plan: dict[str, Any] = {"factors": factors, "seeds": len(spec.factors[SEED]), "tasks": tasks}
    if len(factors) > 1:
        plan["main"] = list(factors)[:2]
    of_pretraining = _of_pretraining(compare.stage or list(spec.stages)[-1], nodes)
    if of_pretraining is not None:
        plan["pretraining"] = [name for name in factors if name in of_pretraining]
    return plan


def _of_pretraining(stage: str, nodes: Sequence[Node]) -> set[str] | None:
    """Return the factors that never differ within a pre-training run of a stage; None if another stage trains it.

    Where all runs come from one checkpoint, the runs themselves are the units, so these are all factors.
    """
    by_key = {node.key: node for node in nodes}
    compared = [node for node in nodes if node.stage == stage]
    if not compared:
        return None
    cells: dict[str, list[Mapping[str, str]]] = {}
    for node, plot in zip(compared, plots_of([chain_of(node, by_key) for node in compared]), strict=True):
        cells.setdefault(node.key if plot is None else plot, []).append(node.cell)
    if len(cells) == 1:
        return set(compared[0].cell)
    return {name for name in compared[0].cell if all(len({c[name] for c in own}) == 1 for own in cells.values())}


def _factors(spec: ExperimentSpec, compare: CompareSpec) -> dict[str, list[str]]:
    """Return the levels of the factors of ``compare.design``; without it, of all factors but the seed.

    A factor with one level is left out, as in the design itself.
    """
    names = compare.design or [name for name in spec.factors if name != SEED]
    return {name: list(spec.factors[name]) for name in varied(spec, names)}
