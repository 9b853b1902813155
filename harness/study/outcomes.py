"""What a node has produced: read from its output, not from the exit code of its command.

So a node that finished just before a kill is known as done, and one that left half an output is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from harness.checkpoints.folders import SAVED_STATES
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.resolver import expand, resolve
from harness.checkpoints.stage_manifest import read_manifest
from harness.errors import CheckpointError, RecordError
from harness.records.run_folder import read_record
from harness.study.folder import StudyFolder, read_json
from harness.study.nodes import Evaluation, Graph, Node, Overlap, Report, Training

PAGE = "report.html"
ITEMS = "overlap.json"
Outcome = Mapping[str, Any]


def outcome(node: Node, graph: Graph, folder: StudyFolder) -> Outcome | None:
    """Return what a node has produced; None while its output is not complete.

    ``{"digest": "sha256:..."}`` of a checkpoint, ``{"results": [...]}`` of an evaluation, relative to the study's
    folder, and ``{"page": "..."}`` of a report or of a search for test items.
    """
    if isinstance(node.work, Training):
        return _checkpoint(folder.checkpoint(node))
    if isinstance(node.work, Evaluation):
        trained = graph[node.work.checkpoint]
        return _records(folder.records(node.work.set_key), _digests(node.work, folder.checkpoint(trained)), folder.path)
    if isinstance(node.work, Overlap):
        items = folder.of(node.key) / ITEMS
        return {"page": str(items.relative_to(folder.path))} if read_json(items) is not None else None
    assert isinstance(node.work, Report)
    page = folder.of(node.key) / PAGE
    return {"page": str(page.relative_to(folder.path))} if page.is_file() else None


def _checkpoint(place: Path) -> Outcome | None:
    try:
        manifest = read_manifest(place)
        if manifest is not None:
            return {"digest": manifest.digest} if manifest.finished else None
        return None
    except CheckpointError:
        return None


def _digests(work: Evaluation, checkpoint: Path) -> list[str]:
    """Return the digests of the checkpoints that an evaluation is about."""
    try:
        if work.states:
            # As `harness eval` does; without saved states it is the folder itself, which is no checkpoint.
            return [checkpoint_digest(resolve(place)) for place in expand(str(checkpoint / SAVED_STATES))]
        return [checkpoint_digest(resolve(str(checkpoint)))]
    except CheckpointError:
        return []


def _records(place: Path, digests: Iterable[str], base: Path) -> Outcome | None:
    """Return the results files of the complete records of these weights; None if one is missing."""
    files: dict[str, str] = {}
    for run in sorted(place.glob("*/run.json")):
        try:
            record = read_record(run.parent)
        except RecordError:
            continue
        results = run.parent / f"results_{record.time}.json"
        if record.complete and results.is_file():
            files[str(record.fingerprint.get("weights"))] = str(results.relative_to(base))
    wanted = list(dict.fromkeys(digests))
    if not wanted or not all(digest in files for digest in wanted):
        return None
    return {"results": [files[digest] for digest in wanted]}


def done_before(node: Node, folder: StudyFolder, done: Mapping[str, Outcome]) -> Outcome | None:
    """Return what a node produced in an earlier run; None if it did not finish, or its output is gone.

    Args:
        node: The node.
        folder: The study's folder.
        done: What its parents have produced, by key.
    """
    about = folder.state(node.key, "done")
    if about is None or not all(parent in done for parent in node.parents):
        return None
    recorded: Outcome = about.get("outcome", {})
    if about.get("parents") != {parent: done[parent] for parent in node.parents}:
        return None
    if isinstance(node.work, Training):
        return recorded if _checkpoint(folder.checkpoint(node)) == recorded else None
    files = recorded.get("results") or [recorded.get("page", "")]
    return recorded if all((folder.path / file).is_file() for file in files) else None
