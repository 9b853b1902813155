"""Where the models come from: the stages as a graph, and their mixtures by phase.

Read from the lineage that `harness eval` puts into its records; models without one are left out. Drawings are inline
SVG whose colours come from the page's style sheet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from harness.records import ModelRecords

_BOX, _HIGH, _GAP_X, _GAP_Y = 168, 40, 56, 14
_BAR, _BAR_HIGH, _LABEL = 300, 16, 60
COLOURS = 6  # classes of the style sheet


@dataclass(frozen=True, kw_only=True)
class Stage:
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


def stages(models: Sequence[ModelRecords]) -> tuple[Stage, ...]:
    """Return every checkpoint in the lineage of `models` once, parents before children."""
    links: dict[str, Mapping[str, Any]] = {}
    evaluated: dict[str, list[str]] = {}
    for model in models:
        for link in model.lineage:
            known = links.get(_digest(link))
            if known is None or (known.get("manifest") is None and link.get("manifest") is not None):
                links[_digest(link)] = link
        evaluated.setdefault(model.digest, []).append(model.name)
    found: dict[str, Stage] = {}

    def add(digest: str) -> Stage | None:
        if digest in found or digest not in links:
            return found.get(digest)
        parent = _parent(links[digest])
        above = add(parent) if parent is not None else None
        found[digest] = _stage(links[digest], above, tuple(sorted(evaluated.get(digest, ()))))
        return found[digest]

    for digest in sorted(links, key=lambda one: (str(links[one]["name"]), one)):
        add(digest)
    return tuple(sorted(found.values(), key=lambda stage: stage.depth))


def _digest(link: Mapping[str, Any]) -> str:
    return str(link.get("digest") or link["name"])


def _parent(link: Mapping[str, Any]) -> str | None:
    parent = (link.get("manifest") or {}).get("parent")
    return str(parent["digest"]) if parent else None


def _stage(link: Mapping[str, Any], above: Stage | None, models: tuple[str, ...]) -> Stage:
    manifest = link.get("manifest")
    if manifest is None:
        return Stage(
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
    return Stage(
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


def placed(listed: Sequence[Stage]) -> dict[str, tuple[int, int]]:
    """Return each stage's column and row by digest: the column is its depth, the row no higher than its parent's."""
    rows: dict[int, int] = {}
    place: dict[str, tuple[int, int]] = {}
    for stage in listed:
        row = rows.get(stage.depth, 0)
        if stage.parent in place:
            row = max(row, place[stage.parent][1])
        place[stage.digest] = (stage.depth, row)
        rows[stage.depth] = row + 1
    return place


def labels(listed: Sequence[Stage]) -> dict[str, str]:
    """Return by digest what a drawing calls each stage: its name, or its model's where several have that name."""
    counts = Counter(stage.name for stage in listed)
    found: dict[str, str] = {}
    for stage in listed:
        name = stage.name if counts[stage.name] == 1 or not stage.models else stage.models[0]
        taken = sum(1 for other in found.values() if other.split(" #")[0] == short(name))
        found[stage.digest] = f"{short(name)} #{taken + 1}" if taken else short(name)
    return found


def what(stage: Stage) -> str:
    """Say in a few words what kind of stage it is, its tokens, and its step when it is not finished."""
    return " ".join(filter(None, [stage.kind, tokens_text(stage.tokens), _step(stage)])) or "from elsewhere"


def _corner(place: tuple[int, int]) -> tuple[int, int]:
    return place[0] * (_BOX + _GAP_X), place[1] * (_HIGH + _GAP_Y)


def short(name: str) -> str:
    return name if len(name) <= 22 else f"{name[:10]}…{name[-11:]}"


def tokens_text(count: int | None) -> str:
    if count is None:
        return ""
    for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{count / size:.3g}{unit} tokens"
    return f"{count} tokens"


def _step(stage: Stage) -> str:
    return "" if stage.step is None else f"step {stage.step}"


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


def sources(stage: Stage) -> tuple[str, ...]:
    """Return the stage's sources in the order of their colours."""
    first = next(iter(stage.ledger.values()), ())
    return tuple(source for source, _, _ in first)
