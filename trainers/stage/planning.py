"""The plan of a stage for ``--dry_run``: tokens by source and phase, steps, parameters, memory."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.trainers.stage.job import Method, StageJob
from harness.trainers.stage.models import count_parameters, empty_model
from harness.trainers.stage.prepare import prepare
from harness.trainers.stage.steps import plan_steps

UNUSED_FOLDER = Path("dry-run")  # never created
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


def plan_stage(method: Method, spec_fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the resolved spec and tables of what `train` would do. Reads data and writes nothing.

    Raises:
        InputError: `train` would refuse the stage file.
    """
    job = prepare(method, spec_fields, UNUSED_FOLDER)
    counted = plan_steps(job, None)
    parameters = count_parameters(job.model_config)
    trained = _trained(job, parameters)
    memory = _memory_bytes(job, parameters, trained)
    config = job.config
    return {
        "spec": job.spec.resolved(),
        "budget": _budget(job, counted),
        "stage": {
            "sequences": f"{job.n_sequences:,}",
            "steps": f"{job.steps:,}",
            "batch": f"{config.per_device_train_batch_size} sequences x {config.gradient_accumulation_steps} "
            f"accumulated x {config.world_size} devices",
            "parameters": f"{parameters:,}",
            "trained parameters": f"{trained:,}",
            "memory (estimate)": f"{memory / 2**30:.1f} GiB: weights, gradients, Adam, activations",
        },
    }


def _budget(job: StageJob, counted: list[list[int]] | None) -> list[dict[str, str]]:
    """One row per phase and source; tokens are exact where the plan read the stream, otherwise the schedule's."""
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

    model = get_peft_model(empty_model(job.model_config), peft_config(job.spec.adapter, "", None))
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)


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
