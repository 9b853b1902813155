"""`stage.json`, the manifest beside the weights: how a checkpoint came to be; its schema, reading and writing."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from harness.errors import CheckpointError

MANIFEST_NAME = "stage.json"
SCHEMA_VERSION: Literal[1] = 1


class _ManifestPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Parent(_ManifestPart):
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


class StreamedSource(_ManifestPart):
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


class LedgerRow(_ManifestPart):
    """Tokens of one source in one phase.

    Attributes:
        phase: Counted from 1.
        source: The source's name.
        tokens: Tokens as streamed.
        share: Of all tokens of the phase, as streamed.
        target_share: The schedule's share of the phase's tokens; the key in the file is ``asked_share``.
    """

    phase: int
    source: str
    tokens: int
    share: float
    target_share: float = Field(validation_alias="asked_share", serialization_alias="asked_share")


class StageManifest(_ManifestPart):
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
        sources: See `StreamedSource`.
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
    sources: tuple[StreamedSource, ...]
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

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as the file holds it: plain values, under the file's keys."""
        return self.model_dump(mode="json", by_alias=True)


def write_manifest(folder: Path, manifest: StageManifest) -> Path:
    """Write `manifest` beside the weights, whole or not at all; returns the file."""
    target = folder / MANIFEST_NAME
    beside = target.with_suffix(f".{os.getpid()}.part")
    beside.write_text(json.dumps(manifest.to_json(), indent=2, ensure_ascii=False) + "\n", "utf-8")
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
