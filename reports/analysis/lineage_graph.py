"""Where the models come from: the stages in their lineage as a graph, parents before children.

Read from the lineage that `harness eval` puts into its records; models without one are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.records import ModelRecords


@dataclass(frozen=True, kw_only=True)
class LineageNode:
    """One checkpoint.

    Attributes:
        digest: Of its weights; its name where no digest is known.
        name: Of the stage, or of the checkpoint where it has no manifest.
        kind: ``pretrain``, ``sft``, ...; empty for a checkpoint from elsewhere.
        step: Optimizer steps, for a checkpoint on the way; None when the stage is finished.
        parent: Its parent's digest; None for a root.
        depth: Stages between it and its root.
        tokens: Tokens streamed in this stage; None when not recorded.
        total_tokens: Tokens streamed since the root, where every stage on the way recorded them.
        ledger: By phase: source, share as streamed, share as asked.
        models: Evaluated models with these weights.
    """

    digest: str
    name: str
    kind: str
    step: int | None
    parent: str | None
    depth: int
    tokens: int | None
    total_tokens: int | None
    ledger: Mapping[int, tuple[tuple[str, float, float], ...]]
    models: tuple[str, ...]


def lineage_nodes(models: Sequence[ModelRecords]) -> tuple[LineageNode, ...]:
    """Return every checkpoint in the lineage of `models` once, parents before children."""
    links: dict[str, Mapping[str, Any]] = {}
    evaluated: dict[str, list[str]] = {}
    for model in models:
        for link in model.lineage:
            known = links.get(_digest(link))
            if known is None or (known.get("manifest") is None and link.get("manifest") is not None):
                links[_digest(link)] = link
        evaluated.setdefault(model.digest, []).append(model.name)
    found: dict[str, LineageNode] = {}

    def add(digest: str) -> LineageNode | None:
        if digest in found or digest not in links:
            return found.get(digest)
        parent = _parent(links[digest])
        above = add(parent) if parent is not None else None
        found[digest] = _node(links[digest], above, tuple(sorted(evaluated.get(digest, ()))))
        return found[digest]

    for digest in sorted(links, key=lambda one: (str(links[one]["name"]), one)):
        add(digest)
    return tuple(sorted(found.values(), key=lambda node: node.depth))


def _digest(link: Mapping[str, Any]) -> str:
    return str(link.get("digest") or link["name"])


def _parent(link: Mapping[str, Any]) -> str | None:
    parent = (link.get("manifest") or {}).get("parent")
    return str(parent["digest"]) if parent else None


def _node(link: Mapping[str, Any], above: LineageNode | None, models: tuple[str, ...]) -> LineageNode:
    manifest = link.get("manifest")
    if manifest is None:
        return LineageNode(
            digest=_digest(link),
            name=str(link["name"]),
            kind="",
            step=None,
            parent=None,
            depth=0,
            tokens=None,
            total_tokens=0,
            ledger={},
            models=models,
        )
    tokens = int(manifest["tokens"])
    before = 0 if above is None else above.total_tokens
    phases: dict[int, list[tuple[str, float, float]]] = {}
    for row in manifest.get("ledger", ()):
        phases.setdefault(int(row["phase"]), []).append((row["source"], row["share"], row["asked_share"]))
    return LineageNode(
        digest=_digest(link),
        name=str(manifest["name"]),
        kind=str(manifest["stage"]),
        step=None if manifest["finished"] else int(manifest["step"]),
        parent=_parent(link),
        depth=0 if above is None else above.depth + 1,
        tokens=tokens,
        total_tokens=None if before is None else before + tokens,
        ledger={phase: tuple(rows) for phase, rows in sorted(phases.items())},
        models=models,
    )


def grid_positions(nodes: Sequence[LineageNode]) -> dict[str, tuple[int, int]]:
    """Return each stage's column and row by digest: the column is its depth, the row no higher than its parent's."""
    rows: dict[int, int] = {}
    place: dict[str, tuple[int, int]] = {}
    for node in nodes:
        row = rows.get(node.depth, 0)
        if node.parent in place:
            row = max(row, place[node.parent][1])
        place[node.digest] = (node.depth, row)
        rows[node.depth] = row + 1
    return place


def node_labels(nodes: Sequence[LineageNode]) -> dict[str, str]:
    """Return by digest what a drawing calls each node: its name, or its model's where several have that name."""
    counts = Counter(node.name for node in nodes)
    found: dict[str, str] = {}
    for node in nodes:
        name = node.name if counts[node.name] == 1 or not node.models else node.models[0]
        taken = sum(1 for other in found.values() if other.split(" #")[0] == short_name(name))
        found[node.digest] = f"{short_name(name)} #{taken + 1}" if taken else short_name(name)
    return found


def describe(node: LineageNode) -> str:
    """Say in a few words what kind of stage it is, its tokens, and its step when it is not finished."""
    return " ".join(filter(None, [node.kind, tokens_text(node.tokens), _step(node)])) or "from elsewhere"


def short_name(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:10]}…{name[-11:]}"


def tokens_text(count: int | None) -> str:
    if count is None:
        return ""
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit} tokens"
    return f"{count} tokens"


def _step(node: LineageNode) -> str:
    return "" if node.step is None else f"step {node.step}"


def source_names(node: LineageNode) -> tuple[str, ...]:
    """Return the sources of all phases of a stage, in the order of their first tokens."""
    return tuple(dict.fromkeys(source for shares in node.ledger.values() for source, _, _ in shares))
