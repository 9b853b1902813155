"""The stage manifest beside the weights, and the chain from a checkpoint back to scratch.

`stage.json` says how a checkpoint came to be: its parent and the parent's digest, the data as streamed, every argument.
This module reads, writes and follows manifests; making checkpoints is the trainers' work. A checkpoint without a
manifest comes from elsewhere: it is the root of its chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.resolver import hub_copy, resolve
from harness.checkpoints.stage_manifest import MANIFEST_NAME, Parent, StageManifest, read_manifest
from harness.errors import CheckpointError

Status = Literal["verified", "changed", "missing", "root"]


@dataclass(frozen=True, kw_only=True)
class Link:
    """One checkpoint of a chain.

    Attributes:
        name: How tables call it.
        location: Path or hub id.
        digest: Known digest: its own when it is here, else the one its child recorded.
        status: ``verified`` (the weights are those that were recorded), ``changed``, ``missing`` (not on this machine),
            ``root`` (from elsewhere: nothing was recorded to compare with).
        manifest: None for a checkpoint from elsewhere or one that is missing.
    """

    name: str
    location: str
    digest: str | None
    status: Status
    manifest: StageManifest | None = None


def manifest_of(checkpoint: Checkpoint) -> StageManifest | None:
    """Return the manifest of a resolved checkpoint: the adapter's own where there is one, else the weights'."""
    return read_manifest(checkpoint.adapter or checkpoint.weights)


def parent_status(manifest: StageManifest) -> Status:
    """Compare the parent's bytes with the digest that `manifest` recorded."""
    return "root" if manifest.parent is None else _find_parent(manifest.parent)[1]


def verify_parent(manifest: StageManifest) -> Status:
    """Check that the parent is still what the child was trained from; a parent that is not here cannot be checked.

    Raises:
        CheckpointError: the parent's weights are others than those recorded.
    """
    status = parent_status(manifest)
    if status == "changed":
        parent = manifest.parent
        assert parent is not None
        raise CheckpointError(
            f"{parent.source}: its weights are no longer those that {manifest.name} was trained from (recorded "
            f"{parent.digest}); restore that checkpoint, or train {manifest.name} again."
        )
    return status


def verify(checkpoint: Checkpoint) -> Status:
    """Check a checkpoint against its own manifest, and its parent; done before a child is trained or it is evaluated.

    Raises:
        CheckpointError: its weights, or its parent's, are others than those recorded.
    """
    manifest = manifest_of(checkpoint)
    if manifest is None:
        return "root"
    if manifest.digest is not None and manifest.digest != checkpoint_digest(checkpoint):
        raise CheckpointError(
            f"{checkpoint.source}: its weights are not those that its {MANIFEST_NAME} records ({manifest.digest}); "
            f"restore the checkpoint, or remove {MANIFEST_NAME} to treat it as one from elsewhere."
        )
    verify_parent(manifest)
    return "verified"


def chain(source: str | Checkpoint) -> list[Link]:
    """Return the checkpoints from `source`, a name or one that was found before, back to its root, `source` first.

    Raises:
        CheckpointError: `source` is no checkpoint, or a manifest on the way is damaged.
    """
    checkpoint = resolve(source) if isinstance(source, str) else source
    manifest = manifest_of(checkpoint)
    digest = checkpoint_digest(checkpoint)
    status: Status = "root" if manifest is None else "verified" if manifest.digest in (None, digest) else "changed"
    links = [Link(name=checkpoint.name, location=checkpoint.source, digest=digest, status=status, manifest=manifest)]
    seen = {digest}
    while manifest is not None and manifest.parent is not None:
        parent = manifest.parent
        found, status = _find_parent(parent)
        manifest = manifest_of(found) if found is not None else None
        if status == "verified" and manifest is None:
            status = "root"
        links.append(
            Link(name=parent.name, location=parent.source, digest=parent.digest, status=status, manifest=manifest)
        )
        if parent.digest in seen:
            raise CheckpointError(f"{parent.source}: its lineage leads back to itself; correct {MANIFEST_NAME} there.")
        seen.add(parent.digest)
    return links


def leaks(name: str, lineage: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each stage behind a checkpoint that had evaluation data of this project among its sources.

    Args:
        name: The checkpoint's.
        lineage: As `harness eval` records it: itself first, each with its ``manifest`` or None.
    """
    known = [link["manifest"] for link in lineage if link.get("manifest")]
    found = [
        (manifest.get("name"), [data for source in manifest.get("sources", ()) for data in source.get("eval_data", ())])
        for manifest in known
    ]
    if known:  # what lies behind the last stage that is here is known by its manifest only
        found.append((f"before {known[-1].get('name')}", list(known[-1].get("inherited_eval_data", ()))))
    return [f"{name} was trained on evaluation data ({stage}): {', '.join(held)}." for stage, held in found if held]


def _find_parent(parent: Parent) -> tuple[Checkpoint | None, Status]:
    """Look where the parent was, then where the stage file said; a hub id is only looked up in the local cache."""
    for place in (parent.path, parent.source):
        if place is None or not Path(place).expanduser().exists():
            continue
        try:
            checkpoint = resolve(place)
        except CheckpointError:
            return None, "changed"  # something is there, and it is not the whole checkpoint that was
        return checkpoint, "verified" if checkpoint_digest(checkpoint) == parent.digest else "changed"
    cached = hub_copy(parent.source, parent.revision) if parent.path is None else None
    if cached is None:
        return None, "missing"
    return cached, "verified" if checkpoint_digest(cached) == parent.digest else "changed"
