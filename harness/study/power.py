"""The plan of `harness power` for an experiment: its factors, seeds and items.

factors: {pretrain: [N, C], tune: [N, C]}
seeds: 3
tasks: {mini_logic: {items: 200, clusters: 10, chance: 0.25, domain: logic}}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.evaluation.counting import TaskSize
from harness.study.design import varied
from harness.study.experiment import CompareSpec, ExperimentSpec

SEED = "seed"
LEAST_SEEDS = 2
LEAST_CLUSTERS = 2


def why_no_plan(spec: ExperimentSpec, compare: CompareSpec) -> str | None:
    """Return why `harness power` does not apply to a comparison; None if it does."""
    if sorted(map(len, _factors(spec, compare).values())) != [2, 2]:
        return "it needs two factors with two levels each"
    if len(spec.factors.get(SEED, ())) < LEAST_SEEDS:
        return f"the factor {SEED} has fewer than {LEAST_SEEDS} levels"
    return None


def power_plan(spec: ExperimentSpec, compare: CompareSpec, sizes: Mapping[str, TaskSize]) -> dict[str, Any]:
    """Return the plan, without tasks of one item or cluster, which say nothing about scatter.

    Args:
        spec: The experiment.
        compare: One of its comparisons.
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
    return {"factors": _factors(spec, compare), "seeds": len(spec.factors[SEED]), "tasks": tasks}


def _factors(spec: ExperimentSpec, compare: CompareSpec) -> dict[str, list[str]]:
    """Return the levels of the factors of ``compare.design``; without it, of all factors but the seed.

    A factor with one level is left out, as in the design itself.
    """
    names = compare.design or [name for name in spec.factors if name != SEED]
    return {name: list(spec.factors[name]) for name in varied(spec, names)}
