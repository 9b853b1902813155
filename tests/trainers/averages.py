"""Checkpoints to average, their average in float64, and stage files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, GPT2Config, set_seed

from tests.models import save_tiny_llama, tiny_tokenizer
from tests.trainers.helpers import CPU

WEIGHTS = "model.safetensors"


def save_gpt2(folder: Path, seed: int) -> Path:
    """A tiny GPT-2, whose output layer shares the weights of the embeddings."""
    set_seed(seed)
    tokenizer = tiny_tokenizer()
    size: dict[str, Any] = {"vocab_size": len(tokenizer), "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 64}
    AutoModelForCausalLM.from_config(  # type: ignore[no-untyped-call]
        GPT2Config(**size, bos_token_id=0, eos_token_id=1)
    ).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def three(folder: Path, save: Callable[..., Path] = save_tiny_llama) -> list[Path]:
    """Three models of one architecture, as the states of a training."""
    return [save(folder / f"checkpoint-{step}", seed=seed) for seed, step in enumerate((20, 100, 110))]


def spec(*checkpoints: Path | str, **more: Any) -> dict[str, Any]:
    return {"stage": "average", "name": "averaged", "checkpoints": [str(place) for place in checkpoints], **more}


def edited(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the tensors of a checkpoint."""
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})


def set_config(folder: Path, **fields: Any) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **fields}))


def expected(checkpoints: list[Path], weights: list[float]) -> dict[str, np.ndarray[Any, Any]]:
    """The average in float64."""
    loaded = [load_file(path / WEIGHTS) for path in checkpoints]
    return {
        name: np.tensordot(weights, np.stack([tensors[name].double().numpy() for tensors in loaded]), axes=1)
        for name in loaded[0]
    }


def training_on(path: Path, *, tokens: int, **more: Any) -> dict[str, Any]:
    """The stage file of a pre-training on a text."""
    return {
        "stage": "pretrain",
        "name": "base",
        "data": {"budget_tokens": tokens, "sources": {"text": {"path": str(path), "format": "text"}}},
        "trainer": {**CPU, "max_length": 64, "save_steps": 4, "save_total_limit": 5},
        **more,
    }
