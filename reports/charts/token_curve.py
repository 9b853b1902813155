"""Drawing of the overall value over tokens since the root. The page and the chart files share it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.reports.analysis.lineage_graph import LineageNode, short_name, tokens_text
from harness.reports.analysis.token_curve import trace_curve
from harness.reports.charts.drawing import Drawing, Mark
from harness.reports.charts.scales import padded_range, ticks
from harness.stats.combining import Estimate

# The plot lies between _LEFT and _RIGHT; names of checkpoints reach into the margin on its right.
_LEFT, _RIGHT, _MARGIN_RIGHT, _BOTTOM, _MARGIN_BELOW = 44, 560, 140, 240, 34


def draw_token_curve(nodes: Sequence[LineageNode], overall: Mapping[str, Estimate]) -> Drawing | None:
    """Draw overall value over tokens, each checkpoint joined to the one before it; None when no two are joined.

    Args:
        nodes: All nodes of the lineages.
        overall: Overall value by evaluated model.
    """
    points, joins = trace_curve(nodes, overall)
    if not joins:
        return None
    most_tokens = max(node.total_tokens or 0 for node, _ in points.values()) or 1
    ends = padded_range([end for _, point in points.values() for end in (point.low, point.high)], include=(0.0,))

    def x(tokens: float) -> float:
        return _LEFT + 10 + tokens / most_tokens * (_RIGHT - _LEFT - 20)

    def y(value: float) -> float:
        return _BOTTOM - 6 - (value - ends[0]) / (ends[1] - ends[0]) * (_BOTTOM - 16)

    marks = []
    for tick in ticks(ends, 5):
        marks.append(Mark(kind="rule", style="rule", x=_LEFT, y=y(tick), x2=_RIGHT, y2=y(tick)))
        marks.append(Mark(kind="text", style="small end", x=_LEFT - 6, y=y(tick) + 3, text=f"{tick:g}"))
    for tick in ticks((0.0, float(most_tokens)), 4):
        text = tokens_text(int(tick)) or "0"
        marks.append(Mark(kind="text", style="small middle", x=x(tick), y=_BOTTOM + 16, text=text))
    for before, after in joins:
        (node, point), (next_node, next_point) = points[before], points[after]
        marks.append(
            Mark(
                kind="rule", style="join", x=x(node.total_tokens or 0), y=y(point.value),
                x2=x(next_node.total_tokens or 0), y2=y(next_point.value),
            )
        )  # fmt: skip
    for node, point in points.values():
        marks += _checkpoint(
            node, point, x(node.total_tokens or 0), tuple(map(y, (point.value, point.low, point.high)))
        )
    return Drawing(
        css_class="curve",
        label="Overall value over tokens",
        width=_RIGHT + _MARGIN_RIGHT,
        height=_BOTTOM + _MARGIN_BELOW,
        marks=tuple(marks),
    )


def _checkpoint(node: LineageNode, point: Estimate, x: float, ys: tuple[float, ...]) -> list[Mark]:
    """Interval, dot and name of one checkpoint; `ys` are those of its value and of its interval's ends."""
    model, (y, low, high) = node.models[0], ys
    return [
        Mark(kind="rule", style="interval", x=x, y=low, x2=x, y2=high),
        Mark(
            kind="point", style="dot", x=x, y=y,
            tooltip=f"{model}: {point.value:.3f}, {point.low:.3f} to {point.high:.3f}, {node.total_tokens:,} tokens",
            data={"model": short_name(model), "tokens": node.total_tokens, "value": point.value, "low": point.low,
                  "high": point.high},
        ),
        Mark(kind="text", style="small", x=x + 6, y=y - 5, text=short_name(model)),
    ]  # fmt: skip
