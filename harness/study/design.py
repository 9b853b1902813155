"""The factorial analysis of a stage's arms: the design file that ``harness compare --design`` reads.

    factors: {pretrain: [N, C], tune: [N, C]}
    runs: [{run: run:3f0c..., pretrain: N, tune: C, parent: 81d2..., seed: 0}, ...]
    parents: [{run: run:81d2..., name: 81d2..., parent: 5be1...}, ...]

A run's parent is its nearest evaluated ancestor, and so on. The chain ends at the ancestor at the outermost stage at
which the runs of the design differ (`checkpoints.plots`); the file names that one even if it is not evaluated.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from harness.checkpoints.plots import plots_of, stage_name
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
        factors: The factors of the design; the first two are the main ones.
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
    chains = [chain_of(node, by_key) for node in nodes]
    own = {node.key for node in nodes}
    runs: list[dict[str, Any]] = []
    above: dict[str, str | None] = {}
    for node, chain, plot in zip(nodes, chains, plots_of(chains), strict=True):
        named = [key for key in chain[:-1] if key == plot or (key in evaluated and key not in own)]
        row = {"run": f"run:{node.key}", **{factor: node.cell[factor] for factor in factors}}
        row |= {"parent": named[-1]} if named else {}
        runs.append(row | ({SEED: node.cell[SEED]} if SEED in node.cell else {}))
        above |= dict(zip(named, [None, *named], strict=False))
    parents = [key for key in above if key in evaluated and key not in own]
    design: dict[str, Any] = {
        "factors": {factor: list(spec.factors[factor]) for factor in factors},
        "runs": runs,
        "parents": [
            {"run": f"run:{key}", "name": key} | ({"parent": above[key]} if above[key] else {}) for key in parents
        ],
    }
    main = [factor for factor in factors if factor != SEED][:2]
    if len(factors) > len(main):  # two factors are the main ones in any order
        design["main"] = main
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


def chain_of(node: Node, by_key: Mapping[str, Node]) -> list[str]:
    """Return the keys from the root of a node's lineage to the node; above a merge, along its first parent."""
    chain = [node.key]
    while node.parents:
        chain.insert(0, stage_name(node.parents))
        node = by_key[node.parents[0]]
    return chain
