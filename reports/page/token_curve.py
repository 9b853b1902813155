"""Overall value over tokens since the root: does a stage go up or down, and where? One inline drawing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from harness.reports.analysis.lineage import Stage, short, tokens_text
from harness.reports.analysis.token_curve import traced
from harness.reports.page import marks
from harness.stats.combining import Point

_WIDTH, _HEIGHT, _LEFT, _BELOW, _RIGHT = 560, 240, 44, 34, 140


def curve(listed: Sequence[Stage], overall: Mapping[str, Point]) -> str:
    """Draw overall value over tokens since the root, checkpoints joined along their lineage; empty where none are.

    Args:
        listed: All stages.
        overall: By evaluated model.
    """
    points, joins = traced(listed, overall)
    if not joins:
        return ""
    most = max(stage.total_tokens or 0 for stage, _ in points.values()) or 1
    ends = marks.scale([end for _, point in points.values() for end in (point.low, point.high)], include=(0.0,))

    def at(digest: str) -> tuple[float, float]:
        stage, point = points[digest]
        return _x(stage.total_tokens or 0, most), _y(point.value, ends)

    parts = [_axes(most, ends)]
    for before, digest in joins:
        (x1, y1), (x2, y2) = at(before), at(digest)
        parts.append(f'<path class="join" d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}"/>')
    for digest, (stage, point) in points.items():
        x, y = at(digest)
        told = (
            f"{stage.models[0]}: {point.value:.3f}, {point.low:.3f} to {point.high:.3f}, {stage.total_tokens:,} tokens"
        )
        parts.append(
            f'<g><title>{escape(told)}</title><path class="interval" d="M{x:.1f} {_y(point.low, ends):.1f}'
            f'V{_y(point.high, ends):.1f}"/><circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>'
            f'<text class="small" x="{x + 6:.1f}" y="{y - 5:.1f}">{escape(short(stage.models[0]))}</text></g>'
        )
    size = f'viewBox="0 0 {_WIDTH + _RIGHT} {_HEIGHT + _BELOW}" width="{_WIDTH + _RIGHT}"'
    return f'<svg class="curve" {size} role="img" aria-label="Overall value over tokens">{"".join(parts)}</svg>'


def _axes(most: int, ends: tuple[float, float]) -> str:
    ticks = marks.ticks(ends, 5)
    rows = "".join(
        f'<path class="rule" d="M{_LEFT} {_y(v, ends):.1f}H{_WIDTH}"/>'
        f'<text class="small end" x="{_LEFT - 6}" y="{_y(v, ends) + 3:.1f}">{v:g}</text>'
        for v in ticks
    )
    columns = "".join(
        f'<text class="small middle" x="{_x(v, most):.1f}" y="{_HEIGHT + 16}">{tokens_text(int(v)) or "0"}</text>'
        for v in marks.ticks((0.0, float(most)), 4)
    )
    return rows + columns


def _x(tokens: float, most: int) -> float:
    return _LEFT + 10 + tokens / most * (_WIDTH - _LEFT - 20)


def _y(value: float, ends: tuple[float, float]) -> float:
    return _HEIGHT - 6 - (value - ends[0]) / (ends[1] - ends[0]) * (_HEIGHT - 16)
