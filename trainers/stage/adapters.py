"""LoRA and QLoRA through PEFT: their settings, the quantized base, and the merge at the end."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from typing import Any

from harness.checkpoints.checkpoint import Checkpoint
from harness.errors import InputError
from harness.trainers.stage.folder import is_main_process
from harness.trainers.stage.job import StageJob
from harness.trainers.stage.models import load_model
from harness.trainers.stage.spec import AdapterSpec, StageSpec

MERGED_BASE = "base"  # folder beside an adapter whose parent was an adapter itself


def peft_config(adapter: AdapterSpec, base: str, revision: str | None) -> Any:
    """Return PEFT's configuration for an adapter of `base`, a folder or hub id."""
    from peft import LoraConfig

    return LoraConfig(
        task_type="CAUSAL_LM",
        r=adapter.r,
        lora_alpha=adapter.alpha if adapter.alpha is not None else 2 * adapter.r,
        lora_dropout=adapter.dropout,
        target_modules=adapter.target_modules,
        base_model_name_or_path=base,
        revision=revision,
    )


def quantization(adapter: AdapterSpec | None) -> Any:
    """Return the 4-bit configuration of QLoRA; None for others.

    Raises:
        InputError: QLoRA where there is no CUDA or no bitsandbytes.
    """
    if adapter is None or adapter.type != "qlora":
        return None
    import torch

    if not torch.cuda.is_available() or importlib.util.find_spec("bitsandbytes") is None:
        raise InputError(
            "adapter.type: qlora needs a CUDA device and the package bitsandbytes; install it, or use lora."
        )
    from transformers import BitsAndBytesConfig

    config: Any = BitsAndBytesConfig
    return config(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def base_of(spec: StageSpec, parent: Checkpoint | None, out_dir: Path) -> tuple[str, str | None]:
    """Return where a new adapter's base is, and its hub revision.

    An adapter of an adapter has merged weights as its base, which are written beside it.
    """
    assert spec.adapter is not None
    if parent is None:
        raise InputError("adapter: needs a parent; pretraining from scratch trains full weights.")
    if parent.adapter is not None:
        if spec.adapter.type == "qlora":
            raise InputError(
                f"adapter.type: qlora cannot go on from {spec.from_}, an adapter itself; train that one with "
                "adapter.merge: true, or use lora."
            )
        return str((out_dir / MERGED_BASE).resolve()), None
    if parent.kind == "hub":
        return parent.source, parent.revision
    return str(parent.weights.resolve()), None


def save_merged_base(model: Any, tokenizer: Any, parent: Checkpoint | None, out_dir: Path) -> None:
    """Write the merged weights that a new adapter of an adapter needs beside it."""
    if parent is not None and parent.adapter is not None:
        save_whole(model, tokenizer, out_dir / MERGED_BASE)


def save_whole(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a model into `folder` unless it is there; a kill leaves the whole of it or nothing under that name."""
    from accelerate import PartialState  # type: ignore[import-untyped]

    if is_main_process() and not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        part.replace(folder)
    PartialState().wait_for_everyone()


def merged(model: Any, adapter: Path) -> Any:
    """Return a plain model with an adapter's saved weights added to its own.

    The base is loaded anew for this: in training it may have been in 4 bits, or spread over devices.
    """
    from peft import PeftModel

    return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()


def model_and_adapter(job: StageJob) -> tuple[Any, Any]:
    """Load a stage's model; return it with PEFT's configuration, or None for full weights."""
    model = load_model(job.spec, job.parent, job.model_config, quantization(job.spec.adapter))
    if job.spec.adapter is None:
        return model, None
    save_merged_base(model, job.tokenizer, job.parent, job.out_dir)
    base, revision = base_of(job.spec, job.parent, job.out_dir)
    model.name_or_path = base  # PEFT writes this into the adapter's configuration, not what it is given
    return model, peft_config(job.spec.adapter, base, revision)
