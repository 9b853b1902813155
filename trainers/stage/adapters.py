"""LoRA and QLoRA adapters through PEFT: settings, the quantized base, and merging at the end."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.folders import ADAPTER_CONFIG
from harness.errors import SpecError
from harness.trainers.stage.folder import is_main_process
from harness.trainers.stage.job import StageJob
from harness.trainers.stage.models import load_model
from harness.trainers.stage.spec import AdapterSpec, StageSpec
from harness.trainers.stage.twins import new_model

MERGED_BASE = "base"  # folder in the checkpoint of an adapter whose parent is an adapter itself


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
    """Return the 4-bit configuration of QLoRA; None for other adapters.

    Raises:
        InputError: QLoRA without CUDA or without bitsandbytes.
    """
    if adapter is None or adapter.type != "qlora":
        return None
    import torch

    if not torch.cuda.is_available() or importlib.util.find_spec("bitsandbytes") is None:
        raise SpecError(
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
    """Return the folder or hub id of a new adapter's base, and its hub revision.

    An adapter on top of an adapter gets merged weights as its base, written into its own folder.

    Raises:
        InputError: there is no parent, or QLoRA on top of an adapter.
    """
    assert spec.adapter is not None
    if parent is None:
        raise SpecError("adapter: needs a parent; set from, or remove adapter to train full weights from scratch.")
    if parent.adapter is not None:
        if spec.adapter.type == "qlora":
            raise SpecError(
                f"adapter.type: qlora cannot start from {spec.from_}, which is an adapter; train that stage with "
                "adapter.merge: true, or use lora."
            )
        return str((out_dir / MERGED_BASE).resolve()), None
    if parent.kind == "hub":
        return parent.source, parent.revision
    return str(parent.weights.resolve()), None


def save_merged_base(model: Any, tokenizer: Any, parent: Checkpoint | None, out_dir: Path) -> None:
    """Write the merged weights that an adapter on top of an adapter needs as its base."""
    if parent is not None and parent.adapter is not None:
        save_whole(model, tokenizer, out_dir / MERGED_BASE)


def name_base_relatively(job: StageJob, folder: Path) -> None:
    """Write the place of a merged base into a saved adapter relative to the adapter, so that both can be moved."""
    path = folder / ADAPTER_CONFIG
    if job.parent is None or job.parent.adapter is None or not path.is_file():
        return
    config = json.loads(path.read_text(encoding="utf-8"))
    config["base_model_name_or_path"] = os.path.relpath(job.out_dir / MERGED_BASE, folder)
    path.write_text(json.dumps(config, indent=2, sort_keys=True), encoding="utf-8")


def save_whole(model: Any, tokenizer: Any, folder: Path) -> None:
    """Write a model into `folder` unless it exists; a kill leaves a complete folder or none."""
    from accelerate import PartialState  # type: ignore[import-untyped]

    if is_main_process() and not folder.exists():
        part = folder.with_name(f"{folder.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        model.save_pretrained(part)
        tokenizer.save_pretrained(part)
        part.replace(folder)
    PartialState().wait_for_everyone()


def model_and_adapter(job: StageJob) -> tuple[Any, Any]:
    """Return a stage's model and PEFT's configuration of its adapter, None for full weights."""
    if job.twin is not None:
        model = new_model(job.twin)
        model.name_or_path = "twin"  # PEFT compares it with the adapter's base
        return model, peft_config(job.spec.adapter, "twin", None) if job.spec.adapter is not None else None
    model = load_model(job.spec, job.parent, job.model_config, quantization(job.spec.adapter))
    if job.spec.adapter is None:
        return model, None
    save_merged_base(model, job.tokenizer, job.parent, job.out_dir)
    base, revision = base_of(job.spec, job.parent, job.out_dir)
    model.name_or_path = (
        base  # PEFT writes this into the adapter's configuration, not its own `base_model_name_or_path`
    )
    return model, peft_config(job.spec.adapter, base, revision)
