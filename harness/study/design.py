"""The factorial analysis of a stage's arms: the design file that ``harness compare --design`` reads.

    factors: {pretrain: [N, C], tune: [N, C]}
    runs: [{run: run:3f0c..., pretrain: N, tune: C, parent: 81d2..., seed: 0}, ...]
    parents: [{run: run:81d2..., name: 81d2...}, ...]

A run's parent is the pre-training run that it descends from: the first checkpoint of its lineage that the study trains.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from harness.errors import InputError, did_you_mean
from harness.study.experiment import ExperimentSpec
from harness.study.nodes import SEED, Node, Report, Trained

DESIGN = "DESIGN"  # stands for the place of the design file in a command
# Names that mean something else in a design file or on the page; `harness compare` refuses factors with them.
TAKEN_NAMES = ("run", "parent", "seed", "step", "cot", "overall", "interaction")


def design_report(
    spec: ExperimentSpec, factors: Sequence[str], stage: str, trained: Trained, evaluated: Collection[str]
) -> Report:
    """Return the factorial comparison of a stage.

    Args:
        spec: The experiment.
        factors: The factors of the design.
        stage: The stage.
        trained: All nodes that train checkpoints.
        evaluated: Keys of those whose last checkpoint is evaluated.

    Raises:
        InputError: the stage lacks one of the factors or has another one, or the name of a factor is taken.
    """
    nodes = trained[stage]
    _check(factors, stage, list(nodes[0].cell))
    factors = varied(spec, factors)
    by_key = {node.key: node for of_stage in trained.values() for node in of_stage}
    roots = {node.key: _root(node, by_key) for node in nodes}
    runs = []
    for node in nodes:
        row = {"run": f"run:{node.key}", **{factor: node.cell[factor] for factor in factors}}
        row |= {"parent": roots[node.key]} if roots[node.key] != node.key else {}
        runs.append(row | ({SEED: node.cell[SEED]} if SEED in node.cell else {}))
    parents = [key for key in dict.fromkeys(roots.values()) if key in evaluated and key not in roots]
    design = {
        "factors": {factor: list(spec.factors[factor]) for factor in factors},
        "runs": runs,
        "parents": [{"run": f"run:{key}", "name": key} for key in parents],
    }
    shown = (*(node.key for node in nodes), *parents)
    return Report(words=("compare", "--design", DESIGN), checkpoints=shown, design=design)


def varied(spec: ExperimentSpec, factors: Sequence[str]) -> list[str]:
    """Return the factors with two levels or more; ``factors.size=[125m]`` leaves one, which has no effect to test."""
    return [factor for factor in factors if len(spec.factors.get(factor, ())) > 1]


def _check(factors: Sequence[str], stage: str, own: Sequence[str]) -> None:
    for factor in factors:
        if factor in TAKEN_NAMES:
            raise InputError(
                f"compare.design: {factor!r} cannot be a factor of a design; rename it, and do not use "
                f"{', '.join(TAKEN_NAMES)}."
            )
        if factor not in own:
            hint = did_you_mean(factor, own)
            raise InputError(f"compare.design: {stage} has no factor {factor!r}; it has {', '.join(own)}.{hint}")
    missing = [factor for factor in own if factor not in (*factors, SEED)]
    if missing:
        raise InputError(f"compare.design: {stage} also has the factor {missing[0]}; add it.")


def _root(node: Node, by_key: Mapping[str, Node]) -> str:
    """Return the key of the first checkpoint of a node's lineage; of a merge, the first along its first parents."""
    while node.parents:
        node = by_key[node.parents[0]]
    return node.key
