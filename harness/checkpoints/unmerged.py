"""Recognise checkpoints whose weights are still divided among the processes that trained them.

FSDP, DeepSpeed and Megatron save such shards for resuming a training; no engine reads them. The error has the command
that merges them.

    checkpoint-30/pytorch_model_fsdp_0/__0_0.distcp, .metadata                           FSDP
    checkpoint-30/global_step30/*_optim_states.pt, latest, zero_to_fp32.py               DeepSpeed ZeRO
    iter_0000030/mp_rank_00/model_optim_rng.pt                                           Megatron
"""

from __future__ import annotations

import shlex
from pathlib import Path

from harness.checkpoints.folders import ADAPTER_CONFIG, step_number
from harness.errors import CheckpointError

DEEPSPEED_STEP = "global_step"


def refuse_unmerged(folder: Path) -> None:
    """Raise an error if the folder has the shards of a checkpoint; call it where complete weights are missing.

    Raises:
        CheckpointError: it has; the message says how to merge them.
    """
    for find in (_fsdp, _deepspeed, _megatron):
        message = find(folder)
        if message is not None:
            raise CheckpointError(message)


def _fsdp(folder: Path) -> str | None:
    if any(folder.glob("*.distcp")):
        shards, whole = folder, folder.parent
    else:
        models = [path for path in sorted(folder.glob("*/")) if "optim" not in path.name and any(path.glob("*.distcp"))]
        if not models:
            return None
        shards, whole = models[0], folder
    command = f"accelerate merge-weights {_quoted(shards)} {_quoted(whole)}"
    if (whole / ADAPTER_CONFIG).exists():
        command += f" && mv {_quoted(whole / 'model.safetensors')} {_quoted(whole / 'adapter_model.safetensors')}"
    return _message(shards, "FSDP", command, str(whole))


def _deepspeed(folder: Path) -> str | None:
    shards = "*_optim_states.pt", "*_model_states.pt"
    if any(any(folder.glob(name)) for name in shards):
        step, whole = folder, folder.parent
    else:
        steps = [path for path in sorted(folder.glob("*/")) if any(any(path.glob(name)) for name in shards)]
        if not steps:
            return None
        step, whole = max(steps, key=lambda path: step_number(path, DEEPSPEED_STEP) or 0), folder
    command = _zero_command(whole)
    flag = " with --allow_pickle" if command.endswith(".bin") else ""
    if not (whole / "latest").exists():
        command += f" --tag {shlex.quote(step.name)}"
    return _message(step, "DeepSpeed", command, f"{whole}{flag}")


def _zero_command(whole: Path) -> str:
    """Run DeepSpeed's script: its copy in the checkpoint, which may be an old one that writes a single pickle."""
    script = whole / "zero_to_fp32.py"
    if not script.exists():
        return f"python -m deepspeed.utils.zero_to_fp32 {_quoted(whole)} {_quoted(whole)} --safe_serialization"
    if "--safe_serialization" in script.read_text(encoding="utf-8", errors="replace"):
        return f"python {_quoted(script)} {_quoted(whole)} {_quoted(whole)} --safe_serialization"
    return f"python {_quoted(script)} {_quoted(whole)} {_quoted(whole / 'pytorch_model.bin')}"


def _megatron(folder: Path) -> str | None:
    patterns = "mp_rank_[0-9]*", "*/mp_rank_[0-9]*", "iter_[0-9]*/*/mp_rank_[0-9]*", "latest_checkpointed_iteration.txt"
    if not any(any(folder.glob(pattern)) for pattern in patterns):
        return None
    return (
        f"{folder}: holds the shards of Megatron, no merged weights; convert them to a transformers folder, for "
        "Megatron-LM with its tools/checkpoint/convert.py."
    )


def _message(shards: Path, framework: str, command: str, then: str) -> str:
    return f"{shards}: holds the shards of {framework}, no merged weights; run `{command}`, then give {then}."


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
