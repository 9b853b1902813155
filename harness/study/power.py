"""The plan of `harness power` for an experiment: its factors, seeds and items.

factors: {pretrain: [N, C], tune: [N, C]}
seeds: 3
tasks: {mini_logic: {items: 200, clusters: 10, chance: 0.25, domain: logic}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.evaluation.counting import TaskSize
from harness.study.experiment import ExperimentSpec

SEED = "seed"
LEAST_SEEDS = 2
LEAST_ITEMS = 2


def power_plan(spec: ExperimentSpec, sizes: Mapping[str, TaskSize]) -> dict[str, Any] | str:
    """Return the plan, or why there is none: `harness power` is about designs of two factors with two levels each.

    Args:
        spec: The experiment.
        sizes: Of the tasks on which the compared stage is evaluated.
    """
    names = spec.compare.design if spec.compare is not None and spec.compare.design else ()
    factors = {name: list(spec.factors.get(name, ())) for name in names}
    if sorted(map(len, factors.values())) != [2, 2]:
        return "compare.design has no two factors with two levels each"
    seeds = len(spec.factors.get(SEED, ()))
    if seeds < LEAST_SEEDS:
        return f"the factor {SEED} has fewer than {LEAST_SEEDS} levels"
    tasks = {
        name: {"items": size.items, "clusters": size.clusters, "chance": size.chance, "domain": size.domain}
        for name, size in sizes.items()
        if size.items >= LEAST_ITEMS and size.clusters >= LEAST_ITEMS
    }
    if not tasks:
        return f"no task has {LEAST_ITEMS} items"
    return {"factors": factors, "seeds": seeds, "tasks": tasks}
