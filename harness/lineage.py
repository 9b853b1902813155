"""The stage manifest beside the weights, and the chain from a checkpoint back to scratch.

`stage.json` says how a checkpoint came to be: its parent and the parent's digest, the data as streamed, every argument.
This module reads, writes and follows manifests; making checkpoints is the trainers' work. A checkpoint without a
manifest comes from elsewhere: it is the root of its chain.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.checkpoints import Checkpoint, hub_copy, resolve
from harness.digests import checkpoint_digest
from harness.errors import CheckpointError

MANIFEST_NAME = "stage.json"
SCHEMA_VERSION: Literal[1] = 1

Status = Literal["verified", "changed", "missing", "root"]


class _Written(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Parent(_Written):
    """The checkpoint that a stage started from.

    Attributes:
        name: How tables call it.
        source: What the stage file said: a path or a hub id.
        path: Where it was, absolute; None for a hub id.
        revision: The hub's commit, for a hub id.
        digest: Its digest when the stage began (`digests.checkpoint_digest`).
    """

    name: str
    source: str
    path: str | None = None
    revision: str | None = None
    digest: str


class Source(_Written):
    """One source of data, as it was streamed.

    Attributes:
        name: Its name in the stage file.
        location: Path, hub id or task, as the stage file said.
        format: How its records were read.
        digest: sha256 over its files; None for a stream that has no files here.
        tokens: Tokens streamed from it, every repetition counted.
        records: Records drawn, every repetition counted.
        repeats: How often it was begun anew after it ran out.
        dropped: Records that could not be used (nothing left to learn from after truncation).
        cut: Records that were longer than the longest sequence and lost their end.
        eval_data: Which evaluation data of this project it holds; empty unless that was allowed.
    """

    name: str
    location: str
    format: str
    digest: str | None = None
    tokens: int = 0
    records: int = 0
    repeats: int = 0
    dropped: int = 0
    cut: int = 0
    eval_data: tuple[str, ...] = ()


class LedgerRow(_Written):
    """Tokens of one source in one phase.

    Attributes:
        phase: Counted from 1.
        source: The source's name.
        tokens: Tokens as streamed.
        share: Of all tokens of the phase, as streamed.
        asked_share: Of all tokens of the phase, as the schedule asks.
    """

    phase: int
    source: str
    tokens: int
    share: float
    asked_share: float


class StageManifest(_Written):
    """How a checkpoint came to be. The field names are the format; `schema_version` rises when their meaning changes.

    Attributes:
        stage: ``pretrain``, ``sft``, ``dpo``, ``grpo`` or another package's.
        name: The stage file's name for it.
        finished: False in the checkpoints that training leaves on its way.
        step: Optimizer steps done.
        parent: None when it was trained from scratch.
        digest: The checkpoint's own digest when it was written; None while it is unfinished.
        trainer: The entry point, and the library's class that trained.
        arguments: Every argument of that class's configuration, defaults included.
        adapter: The adapter's settings; None for full weights.
        seed: Seed of data order and training.
        spec: The stage file as resolved.
        mixture: The schedule in words, its phases and weights.
        budget_tokens: Tokens that were asked for.
        tokens: Tokens as streamed.
        sequences: Sequences as trained on.
        sources: See `Source`.
        ledger: See `LedgerRow`.
        allow_eval_data: Whether evaluation data was allowed among the sources.
        inherited_eval_data: Evaluation data that the stages before it were trained on, which need not be here.
        wall_seconds: Time in training, over all runs when it was resumed.
        resumed: How often it was taken up again after a stop.
        started: UTC, ISO 8601.
        device: What it ran on, and how many processes.
        versions: Of python and the packages that decide the numbers.
    """

    schema_version: Literal[1] = SCHEMA_VERSION
    stage: str
    name: str
    finished: bool
    step: int
    parent: Parent | None
    digest: str | None = None
    trainer: dict[str, str]
    arguments: dict[str, Any]
    adapter: dict[str, Any] | None = None
    seed: int
    spec: dict[str, Any]
    mixture: dict[str, Any]
    budget_tokens: int
    tokens: int
    sequences: int
    sources: tuple[Source, ...]
    ledger: tuple[LedgerRow, ...]
    allow_eval_data: bool = False
    inherited_eval_data: tuple[str, ...] = ()
    wall_seconds: float
    resumed: int = 0
    started: str
    device: str
    versions: dict[str, str] = Field(default_factory=dict)

    @property
    def eval_data(self) -> tuple[str, ...]:
        """Evaluation data of this project that was trained on; every report shows it."""
        return tuple(name for source in self.sources for name in source.eval_data)


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


def write_manifest(folder: Path, manifest: StageManifest) -> Path:
    """Write `manifest` beside the weights, whole or not at all; returns the file."""
    target = folder / MANIFEST_NAME
    beside = target.with_suffix(f".{os.getpid()}.part")
    beside.write_text(json.dumps(manifest.model_dump(mode="json"), indent=2, ensure_ascii=False) + "\n", "utf-8")
    beside.replace(target)
    return target


def read_manifest(folder: Path) -> StageManifest | None:
    """Return the manifest beside the weights in `folder`, or None when the checkpoint comes from elsewhere.

    Raises:
        CheckpointError: there is one, but it is damaged or of another version; names file and field.
    """
    path = folder / MANIFEST_NAME
    try:
        written = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise CheckpointError(
            f"{path}: not readable as JSON ({error}); restore it, or remove it to treat the checkpoint as a root."
        ) from None
    try:
        return StageManifest.model_validate(written)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise CheckpointError(
            f"{path}: field {where}: {fault['msg']}; this version reads schema_version {SCHEMA_VERSION}."
        ) from None


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
