"""The plan of a stage for ``--dry_run``: tokens by source and phase, steps, parameters, memory."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import SpecError, UnplannedParentError
from harness.trainers.data.mixture import Stream
from harness.trainers.stage.job import Method, StageJob
from harness.trainers.stage.launchers import check_deepspeed, without_deepspeed
from harness.trainers.stage.models import STAGE_FILES
from harness.trainers.stage.prepare import prepare
from harness.trainers.stage.rehearsal import TIMED_STEPS, rehearse, seconds_per_step
from harness.trainers.stage.steps import plan_steps
from harness.trainers.stage.twins import count_parameters, empty_model
from harness.training import read_stage, trainer_module

READ_TOKENS = 5_000_000  # of a packed stream, which is otherwise not read for a plan
MANY_MINUTES = 90
UNUSED_FOLDER = Path("dry-run")  # never created
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def plan_stage(
    method: Method, spec_fields: Mapping[str, Any], *, estimate: bool = False, keep: Path | None = None
) -> dict[str, Any]:
    """Return the resolved spec and tables of what `train` would do. Reads data, and writes nothing that stays.

    A step is taken with a tiny model of the same kind, so that whatever the library refuses is found now.

    Args:
        method: The stage's trainer.
        spec_fields: The stage file's contents.
        estimate: Time steps with the model itself.
        keep: With `estimate`, a folder in which to save the model after these steps.

    Raises:
        InputError: `train` would refuse the stage file.
    """
    spec_fields, deepspeed = without_deepspeed(spec_fields)
    job = prepare(method, spec_fields, UNUSED_FOLDER, planned_parent=_planned_parent(spec_fields))
    stream, whole = _read(job)
    if deepspeed is not None:
        check_deepspeed(deepspeed, job.config, job.model_config)
    tried = rehearse(job)
    parameters = count_parameters(job.model_config)
    trained = _trained(job, parameters)
    memory = _memory_bytes(job, parameters, trained)
    config = job.config
    return {
        "spec": job.spec.resolved(),
        "budget": _budget(job, stream if whole else None),
        "sources": _sources(job, stream, "" if whole else f" (first {stream.total:,} tokens)"),
        **({"held out": _held_out(job)} if job.held_out else {}),
        "stage": {
            "sequences": f"{job.n_sequences:,}",
            "steps": f"{job.steps:,}",
            "batch": f"{config.per_device_train_batch_size} sequences x {config.gradient_accumulation_steps} "
            f"accumulated x {config.world_size} devices",
            "parameters": f"{parameters:,}",
            "trained parameters": f"{trained:,}",
            "memory (estimate)": f"{_size(memory)}: weights, gradients, Adam, activations",
            "first step": "works with a tiny model of this kind" if tried else "not tried: no tiny model of this kind",
            **(_time(job, keep) if estimate else {}),
        },
    }


def _planned_parent(spec_fields: Mapping[str, Any], children: tuple[Path, ...] = ()) -> StageJob | None:
    """Return the plan of the stage file that ``from:`` names, and so on to its root; None if it names a checkpoint.

    Raises:
        UnplannedParentError: the trainer of that stage file, or of one above it, has no `Method`, like `average`.
        InputError: that stage file is wrong, or it leads back to itself.
    """
    named = spec_fields.get("from")
    path = Path(named) if isinstance(named, str) else None
    if path is None or path.suffix not in STAGE_FILES or not path.is_file():
        return None
    if path.resolve() in children:
        raise SpecError(f"from: {named} leads back to itself; correct it there.")
    fields, _ = without_deepspeed(read_stage(path))
    method = method_of(fields)
    if method is None:
        raise UnplannedParentError(
            f"from: {named} is a stage that cannot be planned; train it first, and give its folder."
        )
    try:
        parent = _planned_parent(fields, (*children, path.resolve()))
        return prepare(method, fields, UNUSED_FOLDER, planned_parent=parent)
    except UnplannedParentError:
        raise
    except SpecError as error:
        raise SpecError(f"from: {named}: {error}") from None


def method_of(fields: Mapping[str, Any]) -> Method | None:
    """Return the `Method` of a stage file's trainer; None for a trainer that has none."""
    module = trainer_module(fields)
    method = getattr(module, "METHOD", None)
    return method if isinstance(method, Method) else None


def _read(job: StageJob) -> tuple[Stream, bool]:
    """Set the job's steps; return its stream after its end, or after `READ_TOKENS`, and whether that is its end."""
    counted = plan_steps(job, None)
    if counted is not None:
        return counted, True
    stream = job.mixture.stream()
    for _ in itertools.takewhile(lambda _: stream.total < READ_TOKENS, stream):
        pass
    return stream, stream.index == job.n_sequences


def _held_out(job: StageJob) -> list[dict[str, str]]:
    """One row per held-out source."""
    names = ("records", "cut", "dropped", "skipped", "text_bytes")
    return [
        {"source (held out)": one.name} | {name.replace("_", " "): f"{one.counts()[name]:,}" for name in names}
        for one in job.held_out
    ]


def _sources(job: StageJob, stream: Stream, part: str) -> list[dict[str, str]]:
    """One row per source: what happens to its records; `part` says how much of the stream was read."""
    ledger = stream.ledger
    columns = {
        "records": ledger.records, "repeats": stream.repeats, "cut": ledger.cut, "dropped": ledger.dropped,
        "skipped": ledger.skipped, "held out": ledger.held_out, "without answer": ledger.unanswered,
    }  # fmt: skip
    return [
        {f"source{part}": source.name, "format": source.format}
        | {name: f"{counts[index]:,}" for name, counts in columns.items()}
        for index, source in enumerate(job.mixture.sources)
    ]


def _time(job: StageJob, keep: Path | None) -> dict[str, str]:
    if job.parent is None and job.spec.from_ is not None:
        raise SpecError("--estimate: needs the parent itself, which does not exist yet; train it first.")
    seconds = seconds_per_step(job, keep)
    minutes = seconds * job.steps / 60
    length = f"{minutes / 60:.1f} hours" if minutes > MANY_MINUTES else f"{minutes:.1f} minutes"
    return {
        "seconds per step": f"{seconds:.3g}",
        "time (estimate)": f"{length}, from {TIMED_STEPS} timed steps on this machine",
    }


def _budget(job: StageJob, stream: Stream | None) -> list[dict[str, str]]:
    """One row per phase and source; tokens are exact where the plan read the whole stream, otherwise the schedule's."""
    counted = stream.ledger.tokens if stream is not None else None
    mixture = job.mixture
    bounds = mixture.schedule.bounds
    rows = []
    for phase, shares in enumerate(mixture.target_shares()):
        phase_tokens = (bounds[phase + 1] - bounds[phase]) * mixture.target_tokens
        for index, name in enumerate(mixture.schedule.sources):
            tokens = counted[phase][index] if counted is not None else round(shares[index] * phase_tokens)
            rows.append(
                {"phase": f"{phase + 1}", "source": name, "share": f"{shares[index]:.3f}", "tokens": f"{tokens:,}"}
            )
    return rows


def _trained(job: StageJob, parameters: int) -> int:
    """All parameters, or those of the adapter: r x (rows + columns) for each layer it is applied to."""
    if job.spec.adapter is None:
        return parameters
    from peft import get_peft_model

    from harness.trainers.stage.adapters import peft_config

    model = empty_model(job.model_config)
    model.name_or_path = "planned"  # PEFT compares it with the adapter's base
    model = get_peft_model(model, peft_config(job.spec.adapter, "planned", None))
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


def _size(count: float) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _memory_bytes(job: StageJob, parameters: int, trained: int) -> float:
    """Weights, gradients and two Adam moments in float32 for the trained parameters, activations and logits.

    Activations take about 34 bytes x hidden size x layers per token in 16 bits without recomputation (Korthikanti et
    al. 2022, arXiv 2205.05198, eq. 2 without its attention term), and twice that in 32 bits.
    """
    adapter, config, shape = job.spec.adapter, job.config, job.model_config.get_text_config()
    size = 0.55 if adapter is not None and adapter.type == "qlora" else BYTES.get(job.spec.dtype, 4)
    tokens = config.per_device_train_batch_size * (getattr(config, "max_length", None) or 1024)
    if job.method.stage in ("dpo", "kto"):
        tokens *= 2  # both answers; or a prompt's own answer and another one
        size *= 1 if adapter is not None else 2  # the reference model
    per_layer = 34 * shape.hidden_size * (1 if config.bf16 or config.fp16 else 2)
    layers = 2 if config.gradient_checkpointing else shape.num_hidden_layers
    return float(parameters * size + trained * 12 + tokens * (per_layer * layers + 4 * shape.vocab_size))
