"""The curve of the overall value over training tokens: which checkpoints lie on it, and which follows which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.reports.analysis.lineage_graph import LineageNode
from harness.stats.combining import Estimate


def trace_curve(
    nodes: Sequence[LineageNode], overall: Mapping[str, Estimate]
) -> tuple[dict[str, tuple[LineageNode, Estimate]], list[tuple[str, str]]]:
    """Return the evaluated checkpoints with their estimates by digest, and the pairs (before, after) to join.

    Args:
        nodes: All nodes of the lineages.
        overall: Overall value by evaluated model.
    """
    points = {
        node.digest: (node, overall[node.models[0]])
        for node in nodes
        if node.models and node.models[0] in overall and node.total_tokens is not None
    }
    by_digest = {node.digest: node for node in nodes}
    joins = [(before, digest) for digest in points if (before := _previous(digest, points, by_digest)) is not None]
    return points, joins


def _previous(
    digest: str, points: Mapping[str, tuple[LineageNode, Estimate]], by_digest: Mapping[str, LineageNode]
) -> str | None:
    """Return the evaluated checkpoint before this one: the last earlier one of its stage, else its nearest ancestor.

    Of ancestors that are equally near, as the parents of an average are, it is the one with the most tokens.

    Checkpoints of one stage are siblings in the lineage, with one parent, but follow each other on the curve::

        base -> sft step 100, base -> sft step 200     is drawn as     base - sft step 100 - sft step 200
    """
    own = points[digest][0]
    if not own.kind:  # a checkpoint from elsewhere; a stage from scratch has earlier states, but no parents
        return None
    earlier = [
        node
        for node, _ in points.values()
        if (node.name, node.parents) == (own.name, own.parents) and (node.total_tokens or 0) < (own.total_tokens or 0)
    ]
    if earlier:
        return max(earlier, key=lambda node: node.total_tokens or 0).digest
    ancestors = dict.fromkeys(own.parents)
    while ancestors:
        evaluated = [points[ancestor][0] for ancestor in ancestors if ancestor in points]
        if evaluated:
            return max(evaluated, key=lambda node: node.total_tokens or 0).digest
        nodes = [by_digest[ancestor] for ancestor in ancestors if ancestor in by_digest]
        ancestors = dict.fromkeys(parent for node in nodes for parent in node.parents)
    return None
