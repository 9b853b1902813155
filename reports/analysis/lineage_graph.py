"""Where the models come from: the checkpoints of their lineages as one graph, parents before children.

`harness eval` writes the lineage of a checkpoint into its record; models without one are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.checkpoints.stage_manifest import recorded_parents
from harness.natural_order import natural_key
from harness.records import ModelRecords
from harness.reports.analysis.labels import short_labels
from harness.reports.analysis.recipes import Recipe, link_recipe


@dataclass(frozen=True, kw_only=True)
class LineageNode:
    """One checkpoint of a lineage.

    Attributes:
        digest: Digest of its weights; its name if no digest is known.
        name: Name of the stage; name of the checkpoint if it has no manifest.
        kind: ``pretrain``, ``sft``, ...; empty for a checkpoint without a manifest.
        step: Optimizer steps of an intermediate checkpoint; None for a finished stage.
        parents: Digests of its parents; empty for a root, several for an average.
        depth: Stages between it and its root, on the longest path.
        tokens: Tokens streamed in this stage; None if not recorded.
        total_tokens: Tokens streamed since the root, on the path with the most; None if a stage in between did not
            record them.
        ledger: By phase, for each source: its name, share as streamed, share as requested.
        models: Names of the evaluated models with these weights.
        held_out: The course of its held-out loss; empty without one.
        runs: Training runs that it stands for; 1 unless runs of several seeds are drawn as one.
        seed: Seed of its stage; None if not recorded.
        recipe: What it has in common with the same checkpoint of other seeds, its ancestors included.
    """

    digest: str
    name: str
    kind: str
    step: int | None
    parents: tuple[str, ...]
    depth: int
    tokens: int | None
    total_tokens: int | None
    ledger: Mapping[int, tuple[tuple[str, float, float], ...]]
    models: tuple[str, ...]
    held_out: tuple[HeldOutPoint, ...] = ()
    runs: int = 1
    seed: int | None = None
    recipe: Recipe = ()


@dataclass(frozen=True, kw_only=True)
class HeldOutPoint:
    """One measurement of held-out loss.

    Attributes:
        tokens: Tokens of the stage so far.
        loss: Mean over the held-out sources; in nats per token for pre-training and tuning.
    """

    tokens: int
    loss: float


def lineage_nodes(models: Sequence[ModelRecords]) -> tuple[LineageNode, ...]:
    """Return each checkpoint in the lineages of `models` once, parents before children."""
    links: dict[str, Mapping[str, Any]] = {}
    evaluated: dict[str, list[str]] = {}
    for model in models:
        for link in model.lineage:
            # A parent occurs in the record of each of its children; one of them may lack its manifest.
            known = links.get(_digest(link))
            if known is None or (known.get("manifest") is None and link.get("manifest") is not None):
                links[_digest(link)] = link
        evaluated.setdefault(model.digest, []).append(model.name)
    nodes: dict[str, LineageNode] = {}

    def add(digest: str) -> LineageNode | None:
        if digest not in links:
            return nodes.get(digest)
        link = links.pop(digest)
        above = [node for node in map(add, _parents(link)) if node is not None]
        nodes[digest] = _node(link, above, tuple(sorted(evaluated.get(digest, ()))))
        return nodes[digest]

    for digest in sorted(links, key=lambda one: (natural_key(str(links[one]["name"])), one)):
        add(digest)
    return tuple(sorted(nodes.values(), key=lambda node: node.depth))


def _digest(link: Mapping[str, Any]) -> str:
    return str(link.get("digest") or link["name"])


def _parents(link: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(parent["digest"]) for parent in recorded_parents(link.get("manifest") or {})))


def _node(link: Mapping[str, Any], above: Sequence[LineageNode], models: tuple[str, ...]) -> LineageNode:
    manifest = link.get("manifest")
    recipe = (link_recipe(link), *(part for node in above for part in node.recipe))
    if manifest is None:
        return LineageNode(
            digest=_digest(link),
            name=str(link["name"]),
            kind="",
            step=None,
            parents=(),
            depth=0,
            tokens=None,
            total_tokens=0,
            ledger={},
            models=models,
            recipe=recipe,
        )
    tokens = None if manifest.get("tokens") is None else int(manifest["tokens"])  # as another release may have it
    totals = [node.total_tokens for node in above]
    before = None if None in totals else max(filter(None, totals), default=0)
    phases: dict[int, list[tuple[str, float, float]]] = {}
    for row in manifest.get("ledger", ()):
        phases.setdefault(int(row["phase"]), []).append((row["source"], row["share"], row["asked_share"]))
    return LineageNode(
        digest=_digest(link),
        name=str(manifest["name"]),
        kind=str(manifest.get("stage") or "stage"),
        step=None if manifest.get("finished", True) else int(manifest["step"]),
        parents=_parents(link),
        depth=max((node.depth + 1 for node in above), default=0),
        tokens=tokens,
        total_tokens=None if before is None or tokens is None else before + tokens,
        ledger={phase: tuple(rows) for phase, rows in sorted(phases.items())},
        models=models,
        held_out=_held_out(manifest),
        seed=None if manifest.get("seed") is None else int(manifest["seed"]),
        recipe=recipe,
    )


def _held_out(manifest: Mapping[str, Any]) -> tuple[HeldOutPoint, ...]:
    curve = (manifest.get("evaluation") or {}).get("curve") or ()
    return tuple(
        HeldOutPoint(tokens=int(point["tokens"]), loss=float(point["loss"]))
        for point in curve
        if point.get("loss") is not None
    )


Cell = tuple[int, int]  # column and row in the drawing


def grid_paths(nodes: Sequence[LineageNode]) -> dict[tuple[str | None, str], tuple[Cell, ...]]:
    """Return the cells that each edge (parent, child) passes, both ends included; (None, root) has the cell of a root.

    The column is the depth, so that parents stand to the left of their children. A node takes the first free row of its
    column that is not above its highest parent::

        base (0, 0)   text (1, 0)   text-sft (2, 0)
                      code (1, 1)   code-sft (2, 1)

    A parent may be several columns to the left of its child. In the columns between, the edge takes a free row, so that
    it crosses no other node. Here ``average`` was made from ``base`` and ``text``, and + marks that row::

        base (0, 0)   text (1, 0)   average (2, 0)
                         + (1, 1)
    """
    free: Counter[int] = Counter()  # the first free row of each column
    positions: dict[str, Cell] = {}
    paths: dict[tuple[str | None, str], tuple[Cell, ...]] = {}
    for node in nodes:
        parents = [parent for parent in node.parents if parent in positions]
        row = max(free[node.depth], min((positions[parent][1] for parent in parents), default=0))
        positions[node.digest] = (node.depth, row)
        free[node.depth] = row + 1
        for parent in parents:
            between = range(positions[parent][0] + 1, node.depth)
            lanes = [(column, free[column]) for column in between]
            free.update(between)
            paths[parent, node.digest] = (positions[parent], *lanes, positions[node.digest])
        if not parents:
            paths[None, node.digest] = (positions[node.digest],)
    return paths


def node_labels(nodes: Sequence[LineageNode]) -> dict[str, str]:
    """Return the label of each node by digest: its name, or the name of its model if several nodes have that name.

    Nodes of one name that are not evaluated are told apart by their digests, as models are.
    """
    counts = Counter(node.name for node in nodes)
    names = {node.digest: node.name if counts[node.name] == 1 or not node.models else node.models[0] for node in nodes}
    labels = short_labels(names.values())
    taken = Counter(names.values())
    return {
        digest: labels[name] if taken[name] == 1 else f"{labels[name]} ({digest.partition(':')[2][:8] or digest[:8]})"
        for digest, name in names.items()
    }


def describe(node: LineageNode) -> str:
    """Return kind, tokens and step of a node in a few words, such as ``sft 1M tokens step 200``."""
    runs = f"× {node.runs} runs" if node.runs > 1 else ""
    return " ".join(filter(None, [node.kind, tokens_text(node.tokens or None), _step(node), runs])) or "from elsewhere"


def tokens_text(count: int | None) -> str:
    """Return a number of tokens with three digits and a unit, such as ``1.25M tokens``; empty for None."""
    if count is None:
        return ""
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit} tokens"
    return f"{count} tokens"


def _step(node: LineageNode) -> str:
    return "" if node.step is None else f"step {node.step}"


def source_names(node: LineageNode) -> tuple[str, ...]:
    """Return the sources of all phases of a stage, in the order in which they first occur."""
    return tuple(dict.fromkeys(source for shares in node.ledger.values() for source, _, _ in shares))
