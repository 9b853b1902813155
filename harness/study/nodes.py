"""Nodes: what there is to train, evaluate and report, each addressed by the digest of its inputs.

    Node(key="3f0c9a...", label="tuned-N-C-0", kind="train", parents=("81d2...",), work=Training(...))

A key contains no name and no path of the study, so a renamed stage keeps its key. Inside a node's work, ``node:KEY``
stands for the folder of another node's checkpoint, and ``run:KEY`` for the folder with that checkpoint's records.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from harness.study.executors.needs import NeedsSpec

Kind = Literal["train", "evaluate", "report"]
KEY_DIGITS = 16
REFERENCE = re.compile(rf"\b(node|run):([0-9a-f]{{{KEY_DIGITS}}})\b")


@dataclass(frozen=True, kw_only=True)
class Training:
    """Train a stage.

    Attributes:
        spec: The stage file's fields without ``name``.
    """

    spec: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Evaluate a checkpoint.

    Attributes:
        checkpoint: Key of the node that trains it.
        states: Whether the states saved during its training are evaluated instead.
        tasks: Task names.
        flags: Words of ``harness eval`` besides model, tasks and output.
        set_key: Digest of tasks, flags and their definitions; evaluations with the same one can share a process.
    """

    checkpoint: str
    states: bool
    tasks: tuple[str, ...]
    flags: tuple[str, ...]
    set_key: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """Write a page about records.

    Attributes:
        words: The command without its output.
        checkpoints: Keys of the nodes whose checkpoints it shows.
        design: Contents of the file that ``DESIGN`` in `words` stands for; None without one.
    """

    words: tuple[str, ...]
    checkpoints: tuple[str, ...]
    design: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Node:
    """One node of the graph.

    Attributes:
        key: Digest of its inputs: `KEY_DIGITS` hexadecimal digits.
        label: What it is called: the stage and the levels of its factors.
        kind: What it does.
        stage: The stage that it belongs to; empty for a report.
        parents: Keys of the nodes that must be done before.
        needs: What it needs from its machine.
        work: What it does, in detail.
        cell: Of a checkpoint, the levels of the factors that it depends on, in the order of the file.
        alike: Nodes that are equal here cost the same: the label without the seed's level.
    """

    key: str
    label: str
    kind: Kind
    stage: str
    parents: tuple[str, ...]
    work: Training | Evaluation | Report
    needs: NeedsSpec = field(default_factory=NeedsSpec)
    cell: Mapping[str, str] = field(default_factory=dict)
    alike: str = ""


Graph = Mapping[str, Node]
"""Nodes by key; parents come before their children."""

Trained = Mapping[str, Sequence[Node]]
"""The nodes that train checkpoints, by stage."""


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
