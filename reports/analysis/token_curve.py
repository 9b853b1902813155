"""Which evaluated checkpoints lie on one curve over training tokens, and which of them follows which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.reports.analysis.lineage_graph import LineageNode
from harness.stats.combining import Estimate


def trace_curve(
    nodes: Sequence[LineageNode], overall: Mapping[str, Estimate]
) -> tuple[dict[str, tuple[LineageNode, Estimate]], list[tuple[str, str]]]:
    """Return the evaluated checkpoints with their values by digest, and which of them follows which."""
    points = {
        node.digest: (node, overall[node.models[0]])
        for node in nodes
        if node.models and node.models[0] in overall and node.total_tokens is not None
    }
    by_digest = {node.digest: node for node in nodes}
    joins = [(before, digest) for digest in points if (before := _before(digest, points, by_digest)) is not None]
    return points, joins


def _before(
    digest: str, points: Mapping[str, tuple[LineageNode, Estimate]], by_digest: Mapping[str, LineageNode]
) -> str | None:
    """The evaluated checkpoint before this one: an earlier one of its stage, else the nearest one above."""
    own = points[digest][0]
    earlier = [
        node
        for node, _ in points.values()
        if (node.name, node.parent) == (own.name, own.parent) and (node.total_tokens or 0) < (own.total_tokens or 0)
    ]
    if earlier and own.parent is not None:
        return max(earlier, key=lambda node: node.total_tokens or 0).digest
    above = own.parent
    while above is not None and above not in points:
        above = by_digest[above].parent if above in by_digest else None
    return above
