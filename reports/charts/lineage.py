"""Drawings of the lineage: the stages as a graph, and the data of each. The page and the chart files share them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

from harness.reports.analysis.lineage_graph import LineageNode, describe, grid_paths, node_labels, source_names
from harness.reports.charts.drawing import SERIES_COLOURS, Drawing, Mark

_BOX_WIDTH, _BOX_HEIGHT, _GAP_X, _GAP_Y = 192, 40, 38, 14
_BAR_WIDTH, _BAR_HEIGHT, _BAR_GAP, _PHASE_WIDTH = 300, 16, 5, 60


def draw_lineage_graph(nodes: Sequence[LineageNode]) -> Drawing:
    """Draw the stages from left to right, each joined to its parents; evaluated stages have a coloured outline.

    Args:
        nodes: At least one, parents before children.
    """
    paths, labels = grid_paths(nodes), node_labels(nodes)
    positions = {digest: cells[-1] for (_, digest), cells in paths.items()}
    marks: list[Mark] = []
    for node in nodes:
        x, y = _corner(positions[node.digest])
        for parent in node.parents:
            marks += _edge(paths.get((parent, node.digest), ()))
        marks += [
            Mark(
                kind="rect", style="stage evaluated" if node.models else "stage", x=x, y=y, x2=x + _BOX_WIDTH,
                y2=y + _BOX_HEIGHT, tooltip=f"{node.name}: {describe(node)}; {node.digest}",
                data={"name": labels[node.digest], "what": describe(node), "evaluated": bool(node.models)},
            ),
            Mark(kind="text", style="name", x=x + 10, y=y + 17, x2=x + _BOX_WIDTH - 4, text=labels[node.digest]),
            Mark(kind="text", style="small", x=x + 10, y=y + 32, x2=x + _BOX_WIDTH - 4, text=describe(node)),
        ]  # fmt: skip
    columns, rows = (max(cell[axis] for cells in paths.values() for cell in cells) + 1 for axis in (0, 1))
    return Drawing(
        css_class="graph",
        label=f"Lineage of {len(nodes)} checkpoints",
        width=columns * (_BOX_WIDTH + _GAP_X) - _GAP_X,
        height=rows * (_BOX_HEIGHT + _GAP_Y) - _GAP_Y,
        marks=tuple(marks),
    )


def _edge(cells: Sequence[tuple[int, int]]) -> Iterator[Mark]:
    """Lines from a parent to its child: between neighbouring columns, and straight through the cells in between."""
    for number, (cell, next_cell) in enumerate(pairwise(cells), 1):
        (x, y), (next_x, next_y) = _corner(cell), _corner(next_cell)
        middle, next_middle = y + _BOX_HEIGHT / 2, next_y + _BOX_HEIGHT / 2
        yield Mark(kind="rule", style="edge", x=x + _BOX_WIDTH, y=middle, x2=next_x, y2=next_middle)
        if number < len(cells) - 1:
            yield Mark(kind="rule", style="edge", x=next_x, y=next_middle, x2=next_x + _BOX_WIDTH, y2=next_middle)


def _corner(position: tuple[int, int]) -> tuple[int, int]:
    return position[0] * (_BOX_WIDTH + _GAP_X), position[1] * (_BOX_HEIGHT + _GAP_Y)


def draw_mixture(node: LineageNode, label: str) -> Drawing:
    """Draw each phase of a stage as a bar: the shares of its sources in the tokens as streamed.

    Args:
        node: A node with a ledger.
        label: Its label in drawings.
    """
    legend = {source: f"source-{i % len(SERIES_COLOURS)}" for i, source in enumerate(source_names(node))}
    marks = []
    for row, (phase, shares) in enumerate(node.ledger.items()):
        y, x = row * (_BAR_HEIGHT + _BAR_GAP), float(_PHASE_WIDTH)
        marks.append(Mark(kind="text", style="small", x=0, y=y + 12, text=f"phase {phase}"))
        for source, share, target_share in shares:
            marks.append(
                Mark(
                    kind="rect", style=legend[source], x=x, y=y, x2=x + share * _BAR_WIDTH, y2=y + _BAR_HEIGHT,
                    tooltip=f"{source}: {share:.1%} of the phase's tokens, target {target_share:.1%}", series=source,
                    data={"stage": label, "phase": phase, "source": source, "share": share, "asked": target_share},
                )
            )  # fmt: skip
            x += share * _BAR_WIDTH
    return Drawing(
        css_class="mixture",
        label=f"Mixture of {node.name} by phase",
        width=_PHASE_WIDTH + _BAR_WIDTH,
        height=len(node.ledger) * (_BAR_HEIGHT + _BAR_GAP) - _BAR_GAP,
        marks=tuple(marks),
        legend=legend,
    )
