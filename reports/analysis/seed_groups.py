"""Training runs that differ in their seed only, to draw them as one line::

    base-C-0 - tuned-C-0 step 10 - tuned-C-0          base-C - tuned-C step 10 - tuned-C, each point a mean of two
    base-C-1 - tuned-C-1 step 10 - tuned-C-1    ->
    base-C-0 - other-C-0                              base-C-0 - other-C-0, alone as before

Runs belong together if their names, without the number at the end, and their recipes agree, and their seeds do not.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from harness.reports.analysis.lineage_graph import LineageNode
from harness.reports.analysis.recipes import without_seed

Way = tuple[LineageNode, ...]
"""The checkpoints of a line, the root first."""

_STATE = re.compile(r"(^|/)checkpoint-\d+$")  # in the name of an evaluated state: tuned-C-0/checkpoint-10


def group_seeds(ways: Sequence[Way]) -> list[list[Way]]:
    """Return the lines that belong together, in the order of their first members."""
    groups: dict[object, list[Way]] = {}
    for way in ways:
        groups.setdefault(_recipe_of(way), []).append(way)
    return [group for members in groups.values() for group in _told_apart(members)]


def aligned(group: Sequence[Way]) -> list[Way]:
    """Return the checkpoints that each line of a group has, those of all lines beside each other."""
    places = [{(*_stage_of(node), node.step): node for node in way} for way in group]
    return [tuple(own[key] for own in places) for key in places[0] if all(key in own for own in places)]


def shared_name(node: LineageNode) -> str:
    """Return the name without seed of an evaluated checkpoint, such as ``tuned-C step 10``."""
    name = without_seed(_STATE.sub("", node.models[0]) or node.name)
    return name if node.step is None else f"{name} step {node.step}"


def _recipe_of(way: Way) -> object:
    end = way[-1]
    name = _STATE.sub("", end.models[0]) if end.models else ""
    return without_seed(name), end.recipe, tuple(dict.fromkeys(map(_stage_of, way)))


def _stage_of(node: LineageNode) -> tuple[str, str]:
    return node.kind, without_seed(node.name)


def _told_apart(members: list[Way]) -> list[list[Way]]:
    """Return one group if the seeds of all members are known and differ, otherwise each member alone."""
    seeds = {tuple(node.seed for node in way if node.kind) for way in members}
    known = all(node.seed is not None for way in members for node in way if node.kind)
    return [members] if known and len(seeds) == len(members) else [[way] for way in members]
