"""The stage manifest beside the weights, and the chain from a checkpoint back to scratch.

`stage.json` says how a checkpoint came to be: its parent and the parent's digest, the data as streamed, every argument.
This module reads, writes and follows manifests; making checkpoints is the trainers' work. A checkpoint without a
manifest comes from elsewhere: it is the root of its chain.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
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


def verify(checkpoint: Checkpoint) -> Status:
    """Check a checkpoint and its parent against the digests in its manifest, before a child is trained from it.

    Raises:
        CheckpointError: its weights, or its parent's, differ from those recorded.
    """
    links = list(itertools.islice(_links(checkpoint, checkpoint_digest(checkpoint)), 2))
    check_unchanged(links)
    return "root" if links[0].manifest is None else "verified"


def check_unchanged(links: Sequence[Link]) -> None:
    """Check that the first checkpoint of a chain and its parent are those that its manifest records.

    Raises:
        CheckpointError: the weights of one of them differ.
    """
    own, *above = links
    manifest = own.manifest
    if manifest is None:
        return
    if own.status == "changed":
        raise CheckpointError(
            f"{own.location}: its weights are not those that its {MANIFEST_NAME} records ({manifest.digest}); "
            f"restore the checkpoint, or remove {MANIFEST_NAME} to treat it as one from elsewhere."
        )
    if above and above[0].status == "changed":
        raise CheckpointError(
            f"{above[0].location}: its weights are no longer those that {manifest.name} was trained from (recorded "
            f"{above[0].digest}); restore that checkpoint, or train {manifest.name} again."
        )


def chain(source: str | Checkpoint, *, digest: str | None = None) -> list[Link]:
    """Return the checkpoints from `source` back to its root, `source` first.

    Args:
        source: A name, or a checkpoint that was resolved before.
        digest: Its digest, when that is known.

    Raises:
        CheckpointError: `source` is no checkpoint, a manifest on the way is damaged, or the chain is a circle.
    """
    checkpoint = resolve(source) if isinstance(source, str) else source
    return list(_links(checkpoint, digest or checkpoint_digest(checkpoint)))


def _links(checkpoint: Checkpoint, digest: str) -> Iterator[Link]:
    """Yield the links of a chain one by one, each checkpoint resolved, digested and its manifest read once."""
    manifest = manifest_of(checkpoint)
    status: Status = "root" if manifest is None else "verified" if manifest.digest in (None, digest) else "changed"
    yield Link(name=checkpoint.name, location=checkpoint.source, digest=digest, status=status, manifest=manifest)
    seen = {digest}
    while manifest is not None and manifest.parent is not None:
        parent = manifest.parent
        found, status = find_parent(parent)
        manifest = manifest_of(found) if found is not None else None
        if status == "verified" and manifest is None:
            status = "root"
        yield Link(name=parent.name, location=parent.source, digest=parent.digest, status=status, manifest=manifest)
        if parent.digest in seen:
            raise CheckpointError(f"{parent.source}: its lineage leads back to itself; correct {MANIFEST_NAME} there.")
        seen.add(parent.digest)


def contamination_warnings(name: str, lineage: Sequence[Mapping[str, Any]]) -> list[str]:
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


def find_parent(parent: Parent) -> tuple[Checkpoint | None, Status]:
    """Return a parent, or None when it is missing or incomplete, and whether its weights are those recorded.

    It is looked up where it was, then where the stage file said; a hub id only in the hub's local cache.
    """
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
