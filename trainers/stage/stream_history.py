"""How far a stage had read each source after each sequence, from its saved manifests and its stream's log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.checkpoints.stage_manifest import MANIFEST_NAME, StageManifest, StreamedSource, read_manifest
from harness.overlap.streams import StreamHistory
from harness.trainers.data.stream_dataset import StreamLog
from harness.trainers.stage.job import STREAM_LOG, WORK_FOLDER


def drawn_records(source: StreamedSource) -> int:
    """Return how many records a stage had drawn from a source, including records that it did not train on."""
    return source.records + source.skipped + source.held_out


def saved_states(folder: Path) -> Iterator[StageManifest]:
    """Yield the manifests of a stage's saved states, in the order of their steps."""
    places = (folder / WORK_FOLDER).glob(f"checkpoint-*/{MANIFEST_NAME}")
    for place in sorted(places, key=lambda path: int(path.parent.name.rpartition("-")[2])):
        manifest = read_manifest(place.parent)
        if manifest is not None:
            yield manifest


def histories(folder: Path, last: StageManifest) -> list[StreamHistory]:
    """Return the reading history of each source, in the order of the manifest.

    Args:
        folder: The stage's output folder.
        last: The manifest of the finished checkpoint, or of the last state.
    """
    manifests = [state for state in saved_states(folder) if state.step < last.step] + [last]
    logged = [
        entry for entry in StreamLog(folder / WORK_FOLDER / STREAM_LOG).entries() if entry["index"] < last.sequences
    ]
    checkpoints = tuple((manifest.step, manifest.sequences) for manifest in manifests)
    return [
        StreamHistory(
            stage=str(folder),
            checkpoints=checkpoints,
            drawn=tuple(sorted({
                *((manifest.sequences, drawn_records(manifest.sources[at])) for manifest in manifests),
                *((entry["index"], _drawn(entry["ledger"], at)) for entry in logged),
            })),
        )
        for at in range(len(last.sources))
    ]  # fmt: skip


def _drawn(ledger: dict[str, Any], source: int) -> int:
    return sum(int(ledger[name][source]) for name in ("records", "skipped", "held_out") if name in ledger)
