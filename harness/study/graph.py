"""From an experiment to its graph: a node per checkpoint, then evaluations, searches for overlap, and reports.

A stage that does not use a factor, and descends from none that does, is trained once for all levels of that factor.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.errors import InputError, SpecError, did_you_mean
from harness.study.evaluations import evaluation_nodes
from harness.study.executors.needs import NeedsSpec
from harness.study.experiment import ExperimentSpec, needs_of
from harness.study.factors import STAGES, Cell, cells, fill, level_value, placeholders
from harness.study.inputs import data_digests, is_own_trainer, training_versions
from harness.study.nodes import SEED, Graph, Node, Training, digest_of, file_name, references
from harness.study.overlaps import overlap_nodes
from harness.study.reporting import report_nodes
from harness.training import find_trainer

HUB_ID = re.compile(r"^[\w.-]+/[\w.-]+(@[\w./-]+)?$")  # org/name, org/name@revision


def build_graph(spec: ExperimentSpec) -> Graph:
    """Return the graph of an experiment.

    Raises:
        InputError: an unknown stage or factor, an unfilled placeholder, a cycle, or two nodes of one name.
    """
    stages = _Stages(spec)
    nodes = [node for name in spec.stages for node in stages.nodes(name)]
    unused = [name for name in spec.factors if not any(name in stages.used(stage) for stage in spec.stages)]
    if unused:
        raise InputError(f"factors.{unused[0]}: no stage uses {{{unused[0]}}}; use it, or remove the factor.")
    trained = {name: stages.nodes(name) for name in spec.stages}
    evaluations = evaluation_nodes(spec, trained)
    nodes += evaluations
    overlaps = overlap_nodes(spec, trained, evaluations)
    nodes += overlaps
    nodes += report_nodes(spec, trained, evaluations, overlaps)
    _check_labels(nodes)
    return {node.key: node for node in _parents_first(nodes)}


def _check_labels(nodes: Iterable[Node]) -> None:
    keys: dict[str, str] = {}
    for node in nodes:
        if keys.setdefault(node.label, node.key) != node.key:
            raise InputError(f"{node.label}: two nodes have this name; rename a stage, a level or an evaluate section.")


def _parents_first(nodes: Iterable[Node]) -> list[Node]:
    by_key: dict[str, Node] = {}
    for node in nodes:
        first = by_key.setdefault(node.key, node)
        if node.label not in {each.label for each in first.names}:
            by_key[node.key] = replace(first, shared=(*first.shared, node))
    order: dict[str, Node] = {}

    def add(node: Node) -> None:
        if node.key not in order:
            for parent in node.parents:
                add(by_key[parent])
            order[node.key] = node

    for node in by_key.values():
        add(node)
    return list(order.values())


def label_of(name: str, cell: Cell) -> str:
    """Return a node's label: ``tuned-N-C-0``."""
    return file_name("-".join([name, *cell.values()]))


def _processes(stage: Mapping[str, Any], needs: NeedsSpec) -> int:
    """Return how many processes train a stage: one per GPU. A trainer of another package starts its own, if any."""
    return max(1, needs.gpus) if is_own_trainer(str(stage.get("stage"))) and "data" in stage else 1


class _Stages:
    """The nodes of the stages, made on demand: a stage's parents first."""

    def __init__(self, spec: ExperimentSpec) -> None:
        self.spec = spec
        self._nodes: dict[str, list[Node]] = {}
        self._used: dict[str, list[str]] = {}
        self._open: list[str] = []
        self._versions: dict[str, dict[str, str]] = {}

    def used(self, name: str) -> list[str]:
        """Return the factors that a stage or one of its ancestors uses, in the order of the file.

        Raises:
            InputError: an unknown stage or factor, or a cycle.
        """
        if name not in self._used:
            if name in self._open:
                circle = " -> ".join([*self._open[self._open.index(name) :], name])
                raise InputError(f"stages.{name}: descends from itself ({circle}); correct `from` there.")
            self._open.append(name)
            own = self._own(name)
            parents = {parent for cell in cells(self.spec.factors, own) for parent in self._parents(name, cell)}
            factors = own.union(*(self.used(parent) for parent in parents))
            self._open.pop()
            self._used[name] = [factor for factor in self.spec.factors if factor in factors]
        return self._used[name]

    def _own(self, name: str) -> set[str]:
        """Return the factors in a stage's own placeholders."""
        names = [word.split(".")[0] for word in placeholders(self.spec.stages[name])]
        for word in set(names) - {STAGES, *self.spec.factors}:
            known = ", ".join(self.spec.factors) or "none"
            hint = did_you_mean(word, self.spec.factors)
            raise InputError(f"stages.{name}: {{{word}}} is no factor; factors are {known}.{hint}")
        return set(names) - {STAGES}

    def _parents(self, name: str, cell: Cell) -> list[str]:
        """Return the stages that a stage refers to in this cell."""
        seen: list[str] = []

        def note(parent: str) -> str:
            seen.append(parent)
            return ""

        self._filled(name, cell, note)
        return seen

    def _filled(self, name: str, cell: Cell, reference: Any) -> dict[str, Any]:
        """Return a stage's fields in a cell, with `reference(stage)` where it refers to a stage."""

        def lookup(word: str) -> Any:
            first, _, stage = word.partition(".")
            if first == STAGES:
                return reference(self._known(name, word, stage))
            return level_value(self.spec.factors, cell, word)

        try:
            filled: dict[str, Any] = fill(self.spec.stages[name], lookup)
        except SpecError as error:
            raise InputError(f"stages.{name}: {error}") from None
        parent = filled.get("from")
        if isinstance(parent, str) and parent in self.spec.stages:
            filled["from"] = reference(parent)
        elif isinstance(parent, str) and parent and not HUB_ID.match(parent) and not Path(parent).expanduser().exists():
            self._known(name, "from", parent)
        return filled

    def _known(self, name: str, field: str, stage: str) -> str:
        if stage not in self.spec.stages:
            known = ", ".join(self.spec.stages)
            hint = did_you_mean(stage, self.spec.stages)
            raise InputError(
                f"stages.{name}.{field}: {stage!r} is neither a stage nor a checkpoint; stages are {known}.{hint}"
            )
        return stage

    def nodes(self, name: str) -> list[Node]:
        """Return the nodes of a stage, one for each combination of the levels that it depends on."""
        if name not in self._nodes:
            combinations = cells(self.spec.factors, set(self.used(name)))
            self._nodes[name] = [self._node(name, cell) for cell in combinations]
        return self._nodes[name]

    def _node(self, name: str, cell: Cell) -> Node:
        def reference(parent: str) -> str:
            wanted = {factor: cell[factor] for factor in self.used(parent)}
            return next(f"node:{node.key}" for node in self.nodes(parent) if node.cell == wanted)

        try:
            fields, needs = needs_of(self._filled(name, cell, reference), self.spec.needs.train)
            versions = self._versions_for(fields)
        except SpecError as error:
            raise InputError(f"stages.{name}: {error}") from None
        work = {key: value for key, value in fields.items() if key != "name"}
        inputs: dict[str, Any] = {"spec": work, "data": data_digests(work), "versions": versions}
        processes = _processes(fields, needs)
        if processes > 1:  # each takes a batch per step
            inputs["processes"] = processes
        others = {factor: level for factor, level in cell.items() if factor != SEED}
        return Node(
            key=digest_of({"train": inputs}),
            label=label_of(name, cell),
            kind="train",
            stage=name,
            parents=references(work),
            needs=needs,
            work=Training(spec=work, processes=processes),
            cell=cell,
            alike=label_of(name, others),
        )

    def _versions_for(self, fields: Mapping[str, Any]) -> dict[str, str]:
        """Return the versions behind a stage's trainer. Raises: SpecError: there is no such trainer."""
        trainer = str(fields.get("stage"))
        if trainer not in self._versions:  # looking through all installed packages takes a while
            find_trainer(fields)
            self._versions[trainer] = training_versions(trainer)
        return self._versions[trainer]
