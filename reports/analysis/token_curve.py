"""Which evaluated checkpoints lie on one curve over training tokens, and which of them follows which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.reports.analysis.lineage import Stage
from harness.stats.combining import Point


def traced(
    listed: Sequence[Stage], overall: Mapping[str, Point]
) -> tuple[dict[str, tuple[Stage, Point]], list[tuple[str, str]]]:
    """Return the evaluated checkpoints with their values by digest, and which of them follows which."""
    points = {
        stage.digest: (stage, overall[stage.models[0]])
        for stage in listed
        if stage.models and stage.models[0] in overall and stage.total_tokens is not None
    }
    by_digest = {stage.digest: stage for stage in listed}
    joins = [(before, digest) for digest in points if (before := _before(digest, points, by_digest)) is not None]
    return points, joins


def _before(digest: str, points: Mapping[str, tuple[Stage, Point]], by_digest: Mapping[str, Stage]) -> str | None:
    """The evaluated checkpoint before this one: an earlier one of its stage, else the nearest one above."""
    own = points[digest][0]
    earlier = [
        stage
        for stage, _ in points.values()
        if (stage.name, stage.parent) == (own.name, own.parent) and (stage.total_tokens or 0) < (own.total_tokens or 0)
    ]
    if earlier and own.parent is not None:
        return max(earlier, key=lambda stage: stage.total_tokens or 0).digest
    above = own.parent
    while above is not None and above not in points:
        above = by_digest[above].parent if above in by_digest else None
    return above
