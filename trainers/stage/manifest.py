"""Build the stage manifest from the planned job, the stream and the machine."""

from __future__ import annotations

import math
import platform
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.stage_manifest import Parent, StageManifest, StreamedSource
from harness.trainers.data.encoding import leading_tokens
from harness.trainers.data.mixture import Stream
from harness.trainers.stage.held_out import curve
from harness.versions import installed_versions

if TYPE_CHECKING:
    from harness.trainers.stage.job import StageJob

PACKAGES = ("stage-harness", "torch", "transformers", "trl", "peft", "accelerate", "datasets", "tokenizers")


@dataclass(frozen=True, kw_only=True)
class RunHistory:
    """State carried over from interrupted runs.

    Attributes:
        started: When the first run began, UTC, ISO 8601.
        began: When this run began, on the monotonic clock.
        seconds_before: Training time of earlier runs, up to the state that this run resumes from.
        resumed: How often the stage was resumed.
        step: Optimizer steps of the state that this run resumes from.
        notes: For the manifest; a run adds to those of earlier runs.
        stream: The stream's state at that step; None at the start, and for states of earlier releases.
    """

    started: str
    began: float
    seconds_before: float = 0.0
    resumed: int = 0
    step: int = 0
    notes: list[str] = field(default_factory=list)
    stream: dict[str, Any] | None = None


def manifest(
    job: StageJob, stream: Stream, history: RunHistory, state: Any, *, digest: str | None = None
) -> StageManifest:
    """Return the manifest of a training's state, or of the finished checkpoint when `digest` is given.

    Args:
        job: The stage.
        stream: Its stream after the state's last step.
        history: Its earlier runs.
        state: The library trainer's state.
        digest: The checkpoint's digest.
    """
    spec = job.spec
    return StageManifest(
        stage=spec.stage,
        name=spec.name,
        finished=digest is not None,
        step=state.global_step,
        parents=_parents(job),
        digest=digest,
        trainer={"entry_point": f"harness.trainers.{spec.stage}:train", "class": job.method.trainer_class},
        arguments=_plain(job.config.to_dict()),
        adapter=spec.adapter.model_dump(mode="json") if spec.adapter is not None else None,
        seed=spec.seed,
        spec=spec.resolved(),
        mixture=_mixture(job),
        budget_tokens=job.mixture.budget_tokens,
        tokens=stream.total,
        sequences=stream.index,
        sources=_sources(job, stream, with_digests=digest is not None),
        ledger=stream.ledger.rows(job.mixture.schedule.sources, job.mixture.target_shares()),
        allow_eval_data=spec.allow_eval_data,
        inherited_eval_data=job.inherited_eval_data,
        wall_seconds=round(history.seconds_before + time.monotonic() - history.began, 3),
        resumed=history.resumed,
        started=history.started,
        device=_device(job.config),
        versions=installed_versions(PACKAGES),
        notes=tuple(history.notes),
        evaluation=_evaluation(job, state, finished=digest is not None),
    )


def _parents(job: StageJob) -> tuple[Parent, ...]:
    if job.parent is None or job.parent_digest is None:
        return ()
    return (as_parent(job.parent, job.parent_digest),)


def as_parent(checkpoint: Checkpoint, digest: str) -> Parent:
    """Return the entry of a checkpoint in the manifest of a stage that starts from it."""
    path = None if checkpoint.kind == "hub" else str((checkpoint.adapter or checkpoint.weights).resolve())
    return Parent(
        name=checkpoint.name, source=checkpoint.source, path=path, revision=checkpoint.revision, digest=digest
    )


def _sources(job: StageJob, stream: Stream, *, with_digests: bool) -> tuple[StreamedSource, ...]:
    ledger, tokens = stream.ledger, stream.ledger.by_source()
    return tuple(
        StreamedSource(
            name=source.name,
            location=source.location,
            format=source.format,
            digest=source.digest() if with_digests else None,
            tokens=tokens[index],
            records=ledger.records[index],
            repeats=stream.repeats[index],
            dropped=ledger.dropped[index],
            cut=ledger.cut[index],
            skipped=ledger.skipped[index],
            first_skipped=tuple(ledger.first_skipped[index]),
            held_out=ledger.held_out[index],
            unanswered=ledger.unanswered[index],
            eval_data=job.eval_data.get(source.name, ()),
        )
        for index, source in enumerate(job.mixture.sources)
    )


def _evaluation(job: StageJob, state: Any, *, finished: bool) -> dict[str, Any] | None:
    """Return the held-out sources, the course of their loss, and which step's weights the checkpoint has."""
    evaluate = job.spec.evaluate
    if evaluate is None:
        return None
    best = Path(state.best_model_checkpoint or "").name.removeprefix("checkpoint-")
    kept = int(best) if evaluate.keep == "best" and best else state.global_step
    return {
        "sources": {
            one.name: {**one.counts(), "eval_data": job.eval_data.get(f"evaluate.{one.name}", ())}
            for one in job.held_out
        },
        "curve": curve(job.held_out, state.log_history),
        "kept_step": kept if finished else None,
    }


def _mixture(job: StageJob) -> dict[str, Any]:
    mixture = job.mixture
    schedule = mixture.schedule
    return {
        "schedule": schedule.kind,
        "weights": [dict(zip(schedule.sources, weights, strict=True)) for weights in schedule.weights],
        "packed_length": mixture.packed_length,
        "when_exhausted": "repeat" if mixture.repeat else "end",
        # Other records begin as their chat template or the tokenizer says.
        "document_begins_with": job.tokenizer.convert_ids_to_tokens(leading_tokens(job.tokenizer))
        if job.method.stage == "pretrain"
        else None,
    }


def _device(config: Any) -> str:
    import torch

    name = torch.cuda.get_device_name() if torch.cuda.is_available() else platform.processor() or "cpu"
    return f"{name} x {config.world_size}"


def _plain(value: Any) -> Any:
    """Return a value that JSON can hold: other objects as text, infinities and NaN as None."""
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, str | int | float | bool | None) else str(value)
