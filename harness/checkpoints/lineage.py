"""The lineage of a checkpoint: follow the stage manifests to all parents, and verify the weights on the way.

    chain("runs/dpo")      ->  dpo (verified), sft (verified), base (root)
    chain("runs/average")  ->  average (verified), base step 80 (verified), base step 100 (verified)

A stage of training has at most one parent, an average has several, so a lineage is a graph. Each checkpoint occurs once
in the list, after at least one of its children; `Link.parents` has the edges. A checkpoint without a manifest was not
trained here; it is a root.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any, Literal

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.resolver import hub_copy, resolve
from harness.checkpoints.stage_manifest import (
    MANIFEST_NAME,
    Parent,
    StageManifest,
    read_manifest,
    recorded_parents,
)
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

    @property
    def parents(self) -> tuple[str, ...]:
        """Digests of its parents, each once; empty for a root or a missing checkpoint."""
        return tuple(dict.fromkeys(parent.digest for parent in self.manifest.parents)) if self.manifest else ()


def manifest_of(checkpoint: Checkpoint) -> StageManifest | None:
    """Return the manifest of a resolved checkpoint, from the adapter's folder if it has an adapter."""
    return read_manifest(checkpoint.adapter or checkpoint.weights)


def verify(checkpoint: Checkpoint) -> Status:
    """Verify a checkpoint and its parents against the digests in its manifest, before a child is made from it.

    Raises:
        CheckpointError: its weights, or those of a parent, differ from the recorded digest.
    """
    links = _links(checkpoint, checkpoint_digest(checkpoint))
    own = next(links)
    check_unchanged([own, *itertools.islice(links, len(own.parents))])
    return "root" if own.manifest is None else "verified"


def check_unchanged(links: Sequence[Link]) -> None:
    """Verify that the weights of a lineage's first checkpoint and of its parents match the recorded digests.

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
    for link in ancestors:
        if link.status == "changed" and link.digest in own.parents:
            raise CheckpointError(
                f"{link.location}: its weights changed after {manifest.name} was trained from it (recorded digest "
                f"{link.digest}); restore that checkpoint, or train {manifest.name} again."
            )


def chain(source: str | Checkpoint, *, digest: str | None = None) -> list[Link]:
    """Return a checkpoint and all its ancestors, each once: itself, then its parents, then theirs.

    Args:
        source: A name, or a resolved checkpoint.
        digest: Its digest, if it is known already.

    Raises:
        CheckpointError: `source` is no checkpoint, a manifest is damaged, or the lineage leads back to itself.
    """
    checkpoint = resolve(source) if isinstance(source, str) else source
    links = list(_links(checkpoint, digest or checkpoint_digest(checkpoint)))
    oldest_first(links)  # raises an error for a cycle
    return links


def oldest_first(links: Sequence[Link]) -> list[Link]:
    """Return the links of a lineage with parents before their children, and parents in the order of the manifest.

    Raises:
        CheckpointError: a checkpoint is its own ancestor.
    """
    by_digest = {link.digest: link for link in links}
    graph = {link.digest: link.parents for link in links}
    try:
        return [by_digest[digest] for digest in TopologicalSorter(graph).static_order()]
    except CycleError as error:
        place = by_digest[error.args[1][0]].location
        raise CheckpointError(f"{place}: its lineage leads back to itself; correct {MANIFEST_NAME} there.") from None


def _links(checkpoint: Checkpoint, digest: str) -> Iterator[Link]:
    """Yield the links of a lineage, breadth first; each is resolved and digested, and its manifest read, once."""
    manifest = manifest_of(checkpoint)
    status: Status = "root" if manifest is None else "verified" if manifest.digest in (None, digest) else "changed"
    yield Link(name=checkpoint.name, location=checkpoint.source, digest=digest, status=status, manifest=manifest)
    seen, waiting = {digest}, deque(manifest.parents if manifest is not None else ())
    while waiting:
        parent = waiting.popleft()
        if parent.digest in seen:
            continue
        seen.add(parent.digest)
        parent_checkpoint, status = find_parent(parent)
        manifest = manifest_of(parent_checkpoint) if parent_checkpoint is not None else None
        if status == "verified" and manifest is None:
            status = "root"
        yield Link(name=parent.name, location=parent.source, digest=parent.digest, status=status, manifest=manifest)
        waiting.extend(manifest.parents if manifest is not None else ())


def contamination_warnings(name: str, lineage: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return a sentence for each stage of a lineage that was trained on evaluation data of this project.

    Args:
        name: The checkpoint's name.
        lineage: Links as `harness eval` records them: the checkpoint first, each with its ``manifest`` or None.
    """
    manifests = [link["manifest"] for link in lineage if link.get("manifest")]
    digests = [link.get("digest") or link["manifest"].get("digest") for link in lineage if link.get("manifest")]
    by_digest = dict(zip(digests, manifests, strict=True))
    by_stage = [(str(manifest.get("name")), _own_eval_data(manifest)) for manifest in manifests]
    # A manifest lists the evaluation data of all stages before it. What none of its parents accounts for was seen by
    # checkpoints that are missing here.
    for manifest in manifests:
        parents = [by_digest.get(parent["digest"], {}) for parent in recorded_parents(manifest)]
        known = {data for parent in parents for data in (*_own_eval_data(parent), *_inherited(parent))}
        by_stage.append(
            (f"before {manifest.get('name')}", [data for data in _inherited(manifest) if data not in known])
        )
    sentences = (
        f"{name} was trained on evaluation data ({stage}): {', '.join(data)}." for stage, data in by_stage if data
    )
    return list(dict.fromkeys(sentences))  # several saved states of a stage have its name and data


def _own_eval_data(manifest: Mapping[str, Any]) -> list[str]:
    held_out = (manifest.get("evaluation") or {}).get("sources", {}).values()
    return [data for source in (*manifest.get("sources", ()), *held_out) for data in source.get("eval_data", ())]


def _inherited(manifest: Mapping[str, Any]) -> list[str]:
    return list(manifest.get("inherited_eval_data", ()))


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


def training_tokens(lineage: Sequence[Mapping[str, Any]]) -> int | None:
    """Return the tokens that a checkpoint was trained on since its root, on the path with the most.

    A checkpoint without a manifest counts as a root, as in every report.

    Args:
        lineage: Links as `harness eval` records them: the checkpoint first, each with its ``manifest`` or None.

    Returns:
        The tokens; None without a lineage.
    """
    waiting = {str(link.get("digest") or link["name"]): link for link in lineage}
    totals: dict[str, int] = {}

    def total(digest: str) -> int:
        link = waiting.pop(digest, None)  # each link once, so that a damaged lineage cannot lead in a circle
        if link is not None:
            manifest = link.get("manifest") or {}
            above = [total(str(parent["digest"])) for parent in recorded_parents(manifest)]
            totals[digest] = max(above, default=0) + int(manifest.get("tokens", 0))
        return totals.get(digest, 0)

    return total(str(lineage[0].get("digest") or lineage[0]["name"])) if lineage else None
