"""Nodes: what there is to train, evaluate and report, each addressed by the digest of its inputs.

    Node(key="3f0c9a...", label="tuned-N-C-0", kind="train", parents=("81d2...",), work=Training(...))

A key contains no path of the study, and no name except on a page that shows it, so a renamed stage keeps its key.
Inside a node's work, ``node:KEY`` stands for the folder of another node's checkpoint, ``run:KEY`` for the folder with
that checkpoint's records, and ``overlap:KEY`` for the file of a search for test items.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.study.executors.needs import NeedsSpec

Kind = Literal["train", "evaluate", "overlap", "report"]
KEY_DIGITS = 16
SEED = "seed"  # the factor whose levels are runs of one arm
REFERENCE = re.compile(rf"\b(node|run|overlap):([0-9a-f]{{{KEY_DIGITS}}})\b")


@dataclass(frozen=True, kw_only=True)
class Training:
    """Train a stage.

    Attributes:
        spec: The stage file's fields without ``name``.
        processes: Processes that train it together: one per GPU.
    """

    spec: Mapping[str, Any]
    processes: int = 1


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Evaluate a checkpoint.

    Attributes:
        checkpoint: Key of the node that trains it.
        states: Whether the states saved during its training are evaluated instead.
        tasks: Task names.
        flags: Words of ``harness eval`` besides model, tasks and output.
        set_key: Digest of tasks, flags and their definitions; evaluations with the same one can share a process.
        definitions: Digest of what the tasks read.
    """

    checkpoint: str
    states: bool
    tasks: tuple[str, ...]
    flags: tuple[str, ...]
    set_key: str
    definitions: str = ""


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Search what an arm's checkpoints were trained on for items of the tasks.

    Attributes:
        arm: Keys of the nodes that train the arm's checkpoints.
        checkpoints: Keys of those, and of their ancestors, whose data is searched.
        words: The command without checkpoints and output.
    """

    arm: tuple[str, ...]
    checkpoints: tuple[str, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write a page about records.

    Attributes:
        words: The command without its output.
        checkpoints: Keys of the nodes whose checkpoints it shows.
        design: Contents of the file that ``DESIGN`` in `words` stands for; None without one.
        overlaps: Keys of the searches whose results it reads.
    """

    words: tuple[str, ...]
    checkpoints: tuple[str, ...]
    design: Mapping[str, Any] | None = None
    overlaps: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node of the graph.

    Attributes:
        key: Digest of its inputs: `KEY_DIGITS` hexadecimal digits.
        label: What it is called: the stage and the levels of its factors.
        kind: What it does.
        stage: The stage that it belongs to; empty for a report or a search for test items.
        parents: Keys of the nodes that must be done before.
        needs: What it needs from its machine.
        work: What it does, in detail.
        cell: Of a checkpoint, the levels of the factors that it depends on, in the order of the file.
        alike: Nodes that are equal here cost the same: the label without the seed's level.
        shared: The same node as other stages or sections call it: their inputs are equal.
    """

    key: str
    label: str
    kind: Kind
    stage: str
    parents: tuple[str, ...]
    work: Training | Evaluation | Overlap | Report
    needs: NeedsSpec = field(default_factory=NeedsSpec)
    cell: Mapping[str, str] = field(default_factory=dict)
    alike: str = ""
    shared: tuple[Node, ...] = ()

    @property
    def names(self) -> tuple[Node, ...]:
        """The node, and the same one under its other names."""
        return (self, *self.shared)


Graph = Mapping[str, Node]
"""Nodes by key; parents come before their children."""

Trained = Mapping[str, Sequence[Node]]
"""The nodes that train checkpoints, by stage."""


def nodes_of(graph: Graph, stage: str, kind: Kind) -> list[Node]:
    """Return the nodes of a stage, also those that it shares with another one."""
    named = (each for node in graph.values() for each in node.names)
    return [node for node in named if node.stage == stage and node.kind == kind]


def arms_of(nodes: Sequence[Node]) -> dict[str, list[Node]]:
    """Return a stage's nodes by arm: the levels of its factors other than the seed, in the order of the file.

    ``NC`` where every level has one letter, otherwise ``text-code``; the stage's name without such factors.
    """
    arms: dict[str, list[Node]] = {}
    for node in nodes:
        levels = [level for factor, level in node.cell.items() if factor != SEED]
        name = ("" if all(len(level) == 1 for level in levels) else "-").join(levels) or node.stage
        arms.setdefault(name, []).append(node)
    return arms


def file_name(text: str) -> str:
    """Return a text as part of a file's name: ``org/model a`` -> ``org_model_a``."""
    return re.sub(r"[^\w.-]+", "_", text)


def digest_of(inputs: Any) -> str:
    """Return the key of a node with these inputs: plain values."""
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def references(value: Any) -> tuple[str, ...]:
    """Return the keys that a value refers to, each once, in order."""
    keys: dict[str, None] = {}

    def note(_kind: str, key: str) -> str:
        keys[key] = None
        return ""

    _with_references(value, note)
    return tuple(keys)


def with_folders(value: Any, folder: Callable[[str, str], str]) -> Any:
    """Return a value in which each reference is replaced by what `folder` returns for its kind and key."""
    return _with_references(value, folder)


def _with_references(value: Any, replacement: Callable[[str, str], str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _with_references(inner, replacement) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_with_references(inner, replacement) for inner in value]
    if isinstance(value, str):
        return REFERENCE.sub(lambda match: replacement(match[1], match[2]), value)
    return value
