"""The training data of all stages in numbers: tokens by source and phase, repetitions, records cut or left out.

A manifest has the tokens of each source in each phase, and its other counts over the whole stage::

    stage    phase  source  tokens  share  target  repeats  cut
    tuned-0  1      text    2,048   0.50   0.50    1        3
    tuned-0  1      code    2,048   0.50   0.50    0        0
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.natural_order import natural_key
from harness.records import ModelRecords


@dataclass(frozen=True, kw_only=True)
class LedgerLine:
    """One source in one phase of a stage.

    Attributes:
        stage: Name of the stage.
        kind: ``pretrain``, ``sft``, ...
        seed: Its seed.
        phase: Counted from 1; 0 if the manifest has no phases.
        source: Name of the source.
        tokens: Tokens as streamed in this phase.
        share: Share of the phase's tokens, from 0 to 1; None without phases.
        target_share: The share that the schedule has.
        records: Records drawn in the stage, repetitions included.
        repeats: How often the source was started again in the stage.
        cut: Records truncated to the maximum length.
        dropped: Records left out because truncation left nothing to learn from.
        skipped: Records that are wrong and were skipped.
        held_out: Records left out because their loss is measured.
    """

    stage: str
    kind: str
    seed: int
    phase: int
    source: str
    tokens: int
    share: float | None
    target_share: float | None
    records: int
    repeats: int
    cut: int
    dropped: int
    skipped: int
    held_out: int


def ledger_lines(models: Sequence[ModelRecords]) -> tuple[LedgerLine, ...]:
    """Return the lines of every stage in the lineages, each stage once, by name; of its states the last one."""
    manifests: dict[str, Mapping[str, Any]] = {}
    for model in models:
        for link in model.lineage:
            manifest = link.get("manifest")
            if manifest is None:
                continue
            key = f"{manifest['name']} {manifest.get('seed', 0)} {manifest.get('parents') or manifest.get('parent')}"
            if int(manifest.get("tokens") or 0) >= int(manifests.get(key, {}).get("tokens") or 0):
                manifests[key] = manifest
    ordered = sorted(manifests.values(), key=lambda one: natural_key(str(one["name"])))
    return tuple(line for manifest in ordered for line in _lines(manifest))


def _lines(manifest: Mapping[str, Any]) -> Iterator[LedgerLine]:
    sources = {str(one["name"]): one for one in manifest.get("sources") or ()}
    rows = list(manifest.get("ledger") or ())
    # A manifest of another release may have sources without phases.
    rows += [{"phase": 0, "source": name} for name in sources if name not in {row["source"] for row in rows}]
    for row in rows:
        source = sources.get(str(row["source"]), {})
        counts = {
            key: int(source.get(key) or 0) for key in ("records", "repeats", "cut", "dropped", "skipped", "held_out")
        }
        yield LedgerLine(
            stage=str(manifest["name"]),
            kind=str(manifest.get("stage") or ""),
            seed=int(manifest.get("seed") or 0),
            phase=int(row["phase"]),
            source=str(row["source"]),
            tokens=int(row.get("tokens", source.get("tokens")) or 0),
            share=row.get("share"),
            target_share=row.get("asked_share"),
            **counts,
        )
