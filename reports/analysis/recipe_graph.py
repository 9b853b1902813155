"""The design as a picture: what each arm was made from, with the runs of different seeds drawn as one stage.

    base-N-0, base-N-1  ->  tuned-N-C-0, tuned-N-C-1       is drawn as       base-N (2 runs)  ->  NC (2 runs)

The stages are those of the lineages; without one, an arm is joined to the parents that the design file names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.errors import RecordError
from harness.records import ModelRecords
from harness.reports.analysis.contrasts import is_two_by_two
from harness.reports.analysis.lineage_graph import LineageNode, lineage_nodes
from harness.reports.analysis.recipes import link_recipe, without_seed
from harness.reports.analysis.stages import Stage, stages_of

if TYPE_CHECKING:
    from harness.reports.analysis.factorial import FactorialAnalysis


@dataclass(frozen=True, kw_only=True)
class RecipeArm:
    """One arm.

    Attributes:
        name: Its name.
        models: Its runs.
        parents: Names of the checkpoints that its runs were made from, where a record has no lineage.
        label: Its name in the picture; empty for `name`.
    """

    name: str
    models: Sequence[ModelRecords]
    parents: Sequence[str] = ()
    label: str = ""


def arms_of(analysis: FactorialAnalysis) -> list[RecipeArm]:
    """Return the arms of a study; a 2x2 names their factors too."""
    arms = []
    for arm in analysis.arms:
        runs = [run for run in analysis.study.runs if run.cell == arm.cell]
        models = [run.checkpoints[-1] for run in runs]
        parents = [name for run in runs for name in run.ancestors[:1]]
        label = f"{arm.name}: {', '.join(arm.cell)}" if is_two_by_two(analysis.study.factors) else ""
        arms.append(RecipeArm(name=arm.name, models=models, parents=parents, label=label))
    return arms


def by_recipe(arms: Sequence[RecipeArm]) -> list[RecipeArm]:
    """Join single runs whose names and lineages differ in the seed only::

        tuned-C-0 (sft, seed 0), tuned-C-1 (sft, seed 1)   ->   tuned-C

    A joined arm whose name another arm has too, as an SFT and a DPO may, is named after its first run.
    """
    groups: dict[object, list[RecipeArm]] = {}
    for arm in arms:
        groups.setdefault(_recipe_of(arm) or arm.name, []).append(arm)
    joined: list[RecipeArm] = []
    for members in groups.values():
        seeds = {stage.seed for one in members for stage in _stages(one.models[0])[-1:]}
        joined += [_joined(members)] if 1 < len(members) == len(seeds) else members
    taken = Counter(one.name for one in joined)
    return [
        one if one in arms or taken[one.name] == 1 else replace(one, name=f"{one.models[0].name} and seeds")
        for one in joined
    ]


def _recipe_of(arm: RecipeArm) -> tuple[object, ...] | None:
    """Return what the seeds of a recipe have in common; None for an arm of several runs or without a lineage."""
    (first, *others), name = arm.models, without_seed(arm.name)
    if others or not _stages(first) or name.endswith("checkpoint"):  # checkpoint-10 is a step, no seed
        return None
    return name, tuple(map(link_recipe, first.lineage))


def _stages(model: ModelRecords) -> tuple[Stage, ...]:
    try:
        return stages_of(model)
    except RecordError:  # the picture leaves a damaged lineage out
        return ()


def _joined(members: Sequence[RecipeArm]) -> RecipeArm:
    parents = [parent for one in members for parent in one.parents]
    return RecipeArm(name=without_seed(members[0].name), models=[one.models[0] for one in members], parents=parents)


def recipe_nodes(arms: Sequence[RecipeArm]) -> tuple[LineageNode, ...]:
    """Return one node per arm and per recipe of their ancestors, parents before children."""
    nodes = lineage_nodes([model for arm in arms for model in arm.models])
    arm_of = {model.name: arm.name for arm in arms for model in arm.models}
    keys = {node.digest: _key(node, arm_of) for node in nodes}
    merged: dict[str, list[LineageNode]] = {}
    for node in nodes:
        merged.setdefault(keys[node.digest], []).append(node)
    drawn = {key: _merged(key, members, keys) for key, members in merged.items()}
    for arm in arms:
        if arm.name not in drawn:
            drawn |= _without_lineage(arm)
    order = _order(arms, drawn)
    labels = {arm.name: arm.label or arm.name for arm in arms}
    placed = [replace(node, name=labels.get(key, node.name)) for key, node in _with_depths(drawn).items()]
    return tuple(sorted(placed, key=lambda node: (node.depth, order.get(node.digest, len(arms)))))


def _order(arms: Sequence[RecipeArm], nodes: Mapping[str, LineageNode]) -> dict[str, int]:
    """Return the number of the first arm that was made from each node, so that edges do not cross."""
    order: dict[str, int] = {}
    for number, arm in enumerate(arms):
        ways = [arm.name]
        while ways:
            key = ways.pop()
            if key in nodes and key not in order:
                order[key] = number
                ways += nodes[key].parents
    return order


def _key(node: LineageNode, arm_of: Mapping[str, str]) -> str:
    arms = {arm_of[model] for model in node.models if model in arm_of}
    if len(arms) == 1:
        return arms.pop()
    recipe = without_seed(node.name)
    return f"{recipe} (stage)" if recipe in arm_of.values() else recipe


def _merged(key: str, members: Sequence[LineageNode], keys: Mapping[str, str]) -> LineageNode:
    parents = dict.fromkeys(keys[parent] for node in members for parent in node.parents if parent in keys)
    parents.pop(key, None)  # a later checkpoint of one arm
    first = members[0]
    tokens = [node.tokens for node in members if node.tokens is not None]
    return replace(
        first,
        digest=key,
        name=key,
        step=None,
        parents=tuple(parents),
        tokens=round(sum(tokens) / len(tokens)) if tokens else None,
        models=tuple(model for node in members for model in node.models),
        runs=len(members),
    )


def _without_lineage(arm: RecipeArm) -> dict[str, LineageNode]:
    parents: dict[str, int] = {}
    for name in dict.fromkeys(arm.parents):
        recipe = without_seed(name)
        parents[recipe] = parents.get(recipe, 0) + 1
    above = {name: _plain(name, (), runs, ()) for name, runs in parents.items()}
    names = tuple(model.name for model in arm.models)
    return above | {arm.name: _plain(arm.name, tuple(parents), len(arm.models), names)}


def _plain(name: str, parents: tuple[str, ...], runs: int, models: tuple[str, ...]) -> LineageNode:
    return LineageNode(
        digest=name,
        name=name,
        kind="",
        step=None,
        parents=parents,
        depth=0,
        tokens=None,
        total_tokens=None,
        ledger={},
        models=models,
        runs=runs,
    )


def _with_depths(nodes: Mapping[str, LineageNode]) -> dict[str, LineageNode]:
    """Return the nodes with their depth: one more than the deepest parent."""
    depths: dict[str, int] = {}

    def depth(key: str, below: frozenset[str]) -> int:
        if key not in depths:
            above = [one for one in nodes[key].parents if one in nodes and one not in below]
            depths[key] = max((depth(one, below | {key}) + 1 for one in above), default=0)
        return depths[key]

    return {key: replace(node, depth=depth(key, frozenset())) for key, node in nodes.items()}
