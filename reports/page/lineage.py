"""Where the models come from: the stages as a graph, and their mixtures by phase.

Read from the lineage that `harness eval` puts into its records; models without one are left out. Drawings are inline
SVG whose colours come from the page's style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from harness.reports.analysis.lineage import Stage, labels, placed, what

_BOX, _HIGH, _GAP_X, _GAP_Y = 168, 40, 56, 14
_BAR, _BAR_HIGH, _LABEL = 300, 16, 60
COLOURS = 6  # classes of the style sheet


def graph(listed: Sequence[Stage]) -> str:
    """Draw the stages from left to right, each joined to its parent; evaluated ones in colour."""
    place, named = placed(listed), labels(listed)
    parts = []
    for stage in listed:
        x, y = _corner(place[stage.digest])
        if stage.parent in place:
            px, py = _corner(place[stage.parent])
            x1, y1, y2, bend = px + _BOX, py + _HIGH / 2, y + _HIGH / 2, _GAP_X / 2
            parts.append(f'<path class="edge" d="M{x1} {y1:g}C{x1 + bend:g} {y1:g} {x - bend:g} {y2:g} {x} {y2:g}"/>')
        told = f"{stage.name}: {what(stage)}; {stage.digest}"
        parts.append(
            f'<g class="{"stage evaluated" if stage.models else "stage"}"><title>{escape(told)}</title>'
            f'<rect x="{x}" y="{y}" width="{_BOX}" height="{_HIGH}" rx="4"/>'
            f'<text x="{x + 10}" y="{y + 17}">{escape(named[stage.digest])}</text>'
            f'<text class="small" x="{x + 10}" y="{y + 32}">{escape(what(stage))}</text></g>'
        )
    width = (max(x for x, _ in place.values()) + 1) * (_BOX + _GAP_X) - _GAP_X + 2
    height = (max(y for _, y in place.values()) + 1) * (_HIGH + _GAP_Y) - _GAP_Y + 2
    return (
        f'<svg class="graph" viewBox="-1 -1 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="Lineage of {len(listed)} checkpoints">{"".join(parts)}</svg>'
    )


def _corner(place: tuple[int, int]) -> tuple[int, int]:
    return place[0] * (_BOX + _GAP_X), place[1] * (_HIGH + _GAP_Y)


def mixture(stage: Stage) -> str:
    """Draw a stage's phases as bars of its sources' shares of tokens as streamed; empty without a ledger."""
    if not stage.ledger:
        return ""
    parts = []
    for row, (phase, sources) in enumerate(stage.ledger.items()):
        y, x = row * (_BAR_HIGH + 5), float(_LABEL)
        parts.append(f'<text class="small" x="0" y="{y + 12}">phase {phase}</text>')
        for number, (source, share, asked) in enumerate(sources):
            told = f"{source}: {share:.1%} of the phase's tokens, {asked:.1%} asked"
            parts.append(
                f'<rect class="source-{number % COLOURS}" x="{x:.1f}" y="{y}" width="{share * _BAR:.1f}" '
                f'height="{_BAR_HIGH}"><title>{escape(told)}</title></rect>'
            )
            x += share * _BAR
    height = len(stage.ledger) * (_BAR_HIGH + 5)
    return (
        f'<svg class="mixture" viewBox="0 0 {_LABEL + _BAR} {height}" width="{_LABEL + _BAR}" height="{height}" '
        f'role="img" aria-label="Mixture of {escape(stage.name)} by phase">{"".join(parts)}</svg>'
    )
