"""The `hf` backend: a checkpoint and an `EngineSpec` in, a `PackedScorer` out."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Literal

from harness.errors import EngineError, InputError, did_you_mean, first_line
from harness.scorers.batches import ran_out_of_memory
from harness.scorers.packed import PackedScorer, PackedSpec

if TYPE_CHECKING:
    from harness.checkpoints.checkpoint import Checkpoint
    from harness.scorers import EngineSpec

# What --batch_size N stands for: packs hold rows of unlike lengths, so the engine counts tokens, not rows.
TOKENS_PER_ROW = 256
# What --model_args may set; the rest of `PackedSpec` has flags of its own.
ARGUMENTS = ("add_bos", "attn_implementation", "batch_tokens")


def open_hf(checkpoint: Checkpoint, spec: EngineSpec) -> PackedScorer:
    """Load the checkpoint.

    Raises:
        InputError: for an unknown argument.
        CheckpointError: when transformers cannot open the checkpoint.
        EngineError: when it does not fit into memory.
    """
    assert set(ARGUMENTS) <= {field.name for field in fields(PackedSpec)}
    for name in spec.model_args:
        if name not in ARGUMENTS:
            hint = did_you_mean(name, ARGUMENTS)
            raise InputError(f"--model_args {name}: unknown; the hf backend takes {', '.join(ARGUMENTS)}.{hint}")
    tokens: int | Literal["auto"] = "auto" if spec.batch_size == "auto" else int(spec.batch_size) * TOKENS_PER_ROW
    opened = PackedSpec(
        **{
            "path": str(checkpoint.weights),
            "tokenizer": str(checkpoint.tokenizer),
            "adapter": str(checkpoint.adapter) if checkpoint.adapter else None,
            "dtype": spec.dtype,
            "device": spec.device,
            "batch_tokens": tokens,
            "max_length": spec.max_length,
            "trust_remote_code": spec.trust_remote_code,
            **spec.model_args,
        }
    )
    try:
        return PackedScorer(opened)
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        raise EngineError(
            f"{checkpoint.source} does not fit into the memory of --device {spec.device} ({first_line(error)}); give a "
            "device with more, --dtype bfloat16, or end what else uses it."
        ) from error
