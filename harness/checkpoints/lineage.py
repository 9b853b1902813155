"""The lineage of a checkpoint: follow the stage manifests from parent to parent, and verify the weights on the way.

    chain("runs/dpo")  ->  dpo (verified), sft (verified), base (root)

A checkpoint without a manifest was not trained here; it is the root of its chain.
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
    """One checkpoint of a lineage.

    Attributes:
        name: Its name in tables.
        location: Path or hub id.
        digest: For the first checkpoint, of its own files; for its ancestors, the digest that their child recorded.
        status: ``verified`` (the weights match the recorded digest), ``changed`` (they do not), ``missing`` (not on
            this machine), ``root`` (no manifest).
        manifest: None for a root or a missing checkpoint.
    """

    name: str
    location: str
    digest: str | None
    status: Status
    manifest: StageManifest | None = None


def manifest_of(checkpoint: Checkpoint) -> StageManifest | None:
    """Return the manifest of a resolved checkpoint, from the adapter's folder if it has an adapter."""
    return read_manifest(checkpoint.adapter or checkpoint.weights)


def verify(checkpoint: Checkpoint) -> Status:
    """Verify a checkpoint and its parent against the digests in its manifest, before a child is trained from it.

    Raises:
        CheckpointError: its weights, or its parent's, differ from the recorded digest.
    """
    links = list(itertools.islice(_links(checkpoint, checkpoint_digest(checkpoint)), 2))
    check_unchanged(links)
    return "root" if links[0].manifest is None else "verified"


def check_unchanged(links: Sequence[Link]) -> None:
    """Verify that the weights of a chain's first checkpoint and of its parent match the recorded digests.

    Raises:
        CheckpointError: the weights of one of them changed.
    """
    own, *ancestors = links
    manifest = own.manifest
    if manifest is None:
        return
    if own.status == "changed":
        raise CheckpointError(
            f"{own.location}: its weights do not match the digest in its {MANIFEST_NAME} ({manifest.digest}); "
            f"restore the checkpoint, or remove {MANIFEST_NAME} to treat it as a root."
        )
    if ancestors and ancestors[0].status == "changed":
        raise CheckpointError(
            f"{ancestors[0].location}: its weights changed after {manifest.name} was trained from it (recorded digest "
            f"{ancestors[0].digest}); restore that checkpoint, or train {manifest.name} again."
        )


def chain(source: str | Checkpoint, *, digest: str | None = None) -> list[Link]:
    """Return the checkpoints from `source` back to its root, `source` first.

    Args:
        source: A name, or a resolved checkpoint.
        digest: Its digest, if it is known already.

    Raises:
        CheckpointError: `source` is no checkpoint, a manifest is damaged, or the lineage leads back to itself.
    """
    checkpoint = resolve(source) if isinstance(source, str) else source
    return list(_links(checkpoint, digest or checkpoint_digest(checkpoint)))


def _links(checkpoint: Checkpoint, digest: str) -> Iterator[Link]:
    """Yield the links of a chain; each checkpoint is resolved and digested, and its manifest read, once."""
    manifest = manifest_of(checkpoint)
    status: Status = "root" if manifest is None else "verified" if manifest.digest in (None, digest) else "changed"
    yield Link(name=checkpoint.name, location=checkpoint.source, digest=digest, status=status, manifest=manifest)
    seen = {digest}
    while manifest is not None and manifest.parent is not None:
        parent = manifest.parent
        parent_checkpoint, status = find_parent(parent)
        manifest = manifest_of(parent_checkpoint) if parent_checkpoint is not None else None
        if status == "verified" and manifest is None:
            status = "root"
        yield Link(name=parent.name, location=parent.source, digest=parent.digest, status=status, manifest=manifest)
        if parent.digest in seen:
            raise CheckpointError(f"{parent.source}: its lineage leads back to itself; correct {MANIFEST_NAME} there.")
        seen.add(parent.digest)


def contamination_warnings(name: str, lineage: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each stage of a lineage that was trained on evaluation data of this project.

    Args:
        name: The checkpoint's name.
        lineage: Links as `harness eval` records them: the checkpoint first, each with its ``manifest`` or None.
    """
    manifests = [link["manifest"] for link in lineage if link.get("manifest")]
    by_stage = [
        (manifest.get("name"), [data for source in manifest.get("sources", ()) for data in source.get("eval_data", ())])
        for manifest in manifests
    ]
    if manifests:  # the oldest manifest lists the evaluation data of the stages before it, which may be missing
        oldest = manifests[-1]
        by_stage.append((f"before {oldest.get('name')}", list(oldest.get("inherited_eval_data", ()))))
    return [f"{name} was trained on evaluation data ({stage}): {', '.join(data)}." for stage, data in by_stage if data]


def _is_there(place: str) -> bool:
    try:
        return Path(place).expanduser().exists()
    except (OSError, RuntimeError, ValueError):  # a name that is too long, ~nobody, a null byte
        return False


def find_parent(parent: Parent) -> tuple[Checkpoint | None, Status]:
    """Return a parent and its status; the parent is None when it is missing or incomplete.

    Searches its recorded path, then the stage file's; a hub id only in the hub's local cache.
    """
    for place in (parent.path, parent.source):
        if place is None or not _is_there(place):
            continue
        try:
            checkpoint = resolve(place)
        except CheckpointError:
            return None, "changed"  # something is there, but not a complete checkpoint
        return checkpoint, "verified" if checkpoint_digest(checkpoint) == parent.digest else "changed"
    cached = hub_copy(parent.source, parent.revision) if parent.path is None else None
    if cached is None:
        return None, "missing"
    return cached, "verified" if checkpoint_digest(cached) == parent.digest else "changed"
