"""`stage.json`, the manifest next to the weights: how a checkpoint was made. Schema, reading and writing."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import CheckpointError, whole_reason

MANIFEST_NAME = "stage.json"
SCHEMA_VERSION: Literal[2] = 2


Count = Annotated[int, Field(ge=0, lt=2**63)]
Real = Annotated[float, Field(allow_inf_nan=False)]


class _ManifestPart(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Parent(_ManifestPart):
    """A checkpoint that a stage started from.

    Attributes:
        name: Its name in tables.
        source: Path or hub id, as in the stage file.
        path: Its absolute path at that time; None for a hub id.
        revision: The hub's commit, for a hub id.
        digest: Its digest when the stage began (`identity.checkpoint_digest`).
    """

    name: str
    source: str
    path: str | None = None
    revision: str | None = None
    digest: str


class StreamedSource(_ManifestPart):
    """One data source, as streamed.

    Attributes:
        name: Its name in the stage file.
        location: Path, hub id or task, as in the stage file.
        format: Format of its records.
        digest: sha256 over its files, or the commit of a hub data set; None for generated tasks and unfinished stages.
        tokens: Tokens streamed, repetitions included.
        records: Records drawn, repetitions included.
        repeats: How often it was started again after it ran out.
        dropped: Records left out because truncation left nothing to learn from.
        cut: Records truncated to the maximum length.
        skipped: Records that are wrong and were skipped.
        first_skipped: File and line of the first ten of them.
        held_out: Records left out because their loss is measured.
        unanswered: Conversations whose last turns have no answer; those turns are left out.
        eval_data: Evaluation data of this project in it; empty unless the stage file allowed it.
    """

    name: str
    location: str
    format: str
    digest: str | None = None
    tokens: Count = 0
    records: Count = 0
    repeats: Count = 0
    dropped: Count = 0
    cut: Count = 0
    skipped: Count = 0
    first_skipped: tuple[str, ...] = ()
    held_out: Count = 0
    unanswered: Count = 0
    eval_data: tuple[str, ...] = ()


class LedgerRow(_ManifestPart):
    """Tokens of one source in one phase.

    Attributes:
        phase: Counted from 1.
        source: The source's name.
        tokens: Tokens as streamed.
        share: Its share of the phase's tokens, as streamed.
        target_share: The schedule's share of the phase's tokens; the key in the file is ``asked_share``.
    """

    phase: Count
    source: str
    tokens: Count
    share: Real
    target_share: Real = Field(validation_alias="asked_share", serialization_alias="asked_share")


class StageManifest(_ManifestPart):
    """How a checkpoint came to be. The field names are the format; `schema_version` rises when their meaning changes.

    Version 1 had ``parent``, one checkpoint or null, in place of ``parents``. Both versions are read; 2 is written.

    Attributes:
        schema_version: Version of this schema.
        stage: ``pretrain``, ``sft``, ``dpo``, ``kto``, ``grpo``, ``average`` or another package's.
        name: The checkpoint's name in the stage file.
        finished: False in the states saved during training.
        step: Optimizer steps done.
        parents: The checkpoints it was made from: none from scratch, one for training, several for an average.
        digest: Digest of the checkpoint itself; None while it is unfinished.
        trainer: The entry point and the library's trainer class.
        arguments: The library's whole configuration, defaults included.
        adapter: The adapter's settings; None for full weights.
        seed: Seed of data order and training.
        spec: The resolved stage file.
        mixture: Schedule, weights, packing, and what happens to exhausted sources.
        budget_tokens: Token budget of the stage file.
        tokens: Tokens trained on.
        sequences: Sequences trained on.
        sources: See `StreamedSource`.
        ledger: See `LedgerRow`.
        allow_eval_data: Whether evaluation data was allowed among the sources.
        inherited_eval_data: Evaluation data that earlier stages were trained on, even if their checkpoints are missing.
        wall_seconds: Training time, over all runs.
        resumed: How often the training was resumed.
        started: UTC, ISO 8601.
        device: Device and number of processes.
        versions: Versions of Python and of the packages that affect the numbers.
        notes: What a reader should know about the training, such as rewards that never differed.
        evaluation: Held-out sources, their loss by step, and the step whose weights were kept; None without any.
    """

    schema_version: Literal[2] = SCHEMA_VERSION
    stage: str
    name: str
    finished: bool
    step: Count
    parents: tuple[Parent, ...]
    digest: str | None = None
    trainer: dict[str, str]
    arguments: dict[str, Any]
    adapter: dict[str, Any] | None = None
    seed: Count
    spec: dict[str, Any]
    mixture: dict[str, Any]
    budget_tokens: Count
    tokens: Count
    sequences: Count
    sources: tuple[StreamedSource, ...]
    ledger: tuple[LedgerRow, ...]
    allow_eval_data: bool = False
    inherited_eval_data: tuple[str, ...] = ()
    wall_seconds: Real
    resumed: Count = 0
    started: str
    device: str
    versions: dict[str, str] = Field(default_factory=dict)
    notes: tuple[str, ...] = ()
    evaluation: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_version_1(cls, fields: Any) -> Any:
        # {"schema_version": 1, "parent": null, ...}  ->  {"schema_version": 2, "parents": [], ...}
        if not isinstance(fields, dict) or fields.get("schema_version") != 1:
            return fields
        if "parent" not in fields or "parents" in fields:
            return fields
        others = {name: value for name, value in fields.items() if name != "parent"}
        return {**others, "parents": recorded_parents(fields), "schema_version": SCHEMA_VERSION}

    @model_validator(mode="after")
    def _has_what_reports_show(self) -> Self:
        if not isinstance(self.mixture.get("schedule", ""), str):
            raise ValueError("mixture.schedule must be text")
        if not isinstance((self.adapter or {}).get("type", ""), str):
            raise ValueError("adapter.type must be text")
        return self

    @property
    def eval_data(self) -> tuple[str, ...]:
        """Evaluation data of this project among the sources; every report shows it."""
        held_out = (self.evaluation or {}).get("sources", {}).values()
        measured = (name for source in held_out for name in source.get("eval_data", ()))
        return (*(name for source in self.sources for name in source.eval_data), *measured)

    def to_json(self) -> dict[str, Any]:
        """Return the manifest as the file holds it: plain values, under the file's keys."""
        return self.model_dump(mode="json", by_alias=True)


def recorded_parents(manifest: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the parents in a manifest's plain fields, of either schema version; reports read records of both."""
    if "parents" in manifest:
        return tuple(manifest["parents"] or ())
    return () if manifest.get("parent") is None else (manifest["parent"],)


def write_manifest(folder: Path, manifest: StageManifest) -> Path:
    """Write `manifest` next to the weights, complete or not at all; return the file."""
    target = folder / MANIFEST_NAME
    part = target.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(manifest.to_json(), indent=2, ensure_ascii=False) + "\n", "utf-8")
    part.replace(target)
    return target


def read_manifest(folder: Path) -> StageManifest | None:
    """Return the manifest next to the weights in `folder`; None when there is none.

    Raises:
        CheckpointError: it is damaged or of another version; the message names file and field.
    """
    path = folder / MANIFEST_NAME
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: is not readable as JSON ({whole_reason(error)}); restore it, or remove it to "
            "treat the checkpoint as a root."
        ) from None
    try:
        return StageManifest.model_validate(fields)
    except ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        place = f"field {where}: " if where else ""
        problem = fault["msg"].removeprefix("Value error, ")
        raise CheckpointError(
            f"{path}: {place}{problem}; restore the file; this version reads schema_version 1 and {SCHEMA_VERSION}."
        ) from None
