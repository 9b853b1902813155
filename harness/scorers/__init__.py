"""Engines that answer requests, found by name in one lazy table; nothing is imported until it is used."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from harness.checkpoints.checkpoint import Checkpoint
    from harness.scorers.base import Scorer

# name -> "module:function(Checkpoint, EngineSpec) -> Scorer"
BACKENDS = {
    "hf": "harness.scorers.hf:open_hf",
    "vllm": "harness.scorers.vllm:open_vllm",
}
LM_EVAL_PREFIX = "lm-eval:"
SCRIPTED = "scripted"

# Raised when an engine's answers change for the same weights and request, so that old journal entries are not taken.
ENGINE_VERSIONS = {"hf": 2, "vllm": 2, SCRIPTED: 1}

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """How a checkpoint is to be run.

    Attributes:
        backend: ``auto``, a name in `BACKENDS`, or ``lm-eval:NAME``.
        dtype: ``auto`` (the checkpoint's own), ``float32``, ``bfloat16`` or ``float16``.
        device: ``auto`` or a torch device.
        batch_size: ``auto`` or the number of rows of a forward pass.
        max_length: Longest input in tokens; None takes the model's own.
        trust_remote_code: Whether code that comes with the checkpoint may run.
        allow_pickle: Whether pickled weights may be loaded.
        model_args: Further arguments of the engine, passed on as they are.
    """

    backend: str = "auto"
    dtype: str = "auto"
    device: str = "auto"
    batch_size: int | str = "auto"
    max_length: int | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False
    model_args: Mapping[str, Any] = field(default_factory=dict)


def resolve_backend(name: str, device: str = "auto") -> str:
    """Return the backend that `name` means here; ``auto`` takes vLLM where CUDA and vllm are there, else ``hf``.

    Args:
        name: As given.
        device: As given; ``auto`` takes vLLM only for a CUDA device.

    Raises:
        InputError: for an unknown name.
    """
    if name == "auto":
        return "vllm" if device.partition(":")[0] in ("auto", "cuda") and _vllm_on_cuda() else "hf"
    if name in BACKENDS or name == SCRIPTED or (name.startswith(LM_EVAL_PREFIX) and len(name) > len(LM_EVAL_PREFIX)):
        return name
    known = ["auto", *BACKENDS, SCRIPTED, LM_EVAL_PREFIX + "NAME"]
    raise InputError(f"--backend {name}: unknown; give one of {', '.join(known)}.{did_you_mean(name, known)}")


def _vllm_on_cuda() -> bool:
    # The driver's device file (the second one is WSL's) is looked for first, so that a run without a GPU does not
    # import torch to find that out.
    if find_spec("vllm") is None or not any(Path(file).exists() for file in ("/dev/nvidiactl", "/dev/dxg")):
        return False
    import torch

    return torch.cuda.is_available()


def engine_identity(checkpoint: Checkpoint, spec: EngineSpec) -> dict[str, Any]:
    """Return what, besides the weights, decides the answers: engine, its version, dtype, length, own arguments.

    Device and batch size are left out: they move scores by rounding only, and a resumed run may change them.
    """
    identity: dict[str, Any] = {
        "engine": spec.backend,
        "engine_version": ENGINE_VERSIONS.get(spec.backend, 0),
        "dtype": resolve_dtype(checkpoint, spec.dtype),
        "max_length": spec.max_length,
        "model_args": dict(spec.model_args),
    }
    if spec.trust_remote_code:
        identity["trust_remote_code"] = True
    if spec.backend.startswith(LM_EVAL_PREFIX):
        identity["lm_eval"] = importlib.import_module("importlib.metadata").version("lm_eval")
    return identity


def resolve_dtype(checkpoint: Checkpoint, dtype: str) -> str:
    """Return the concrete dtype that ``auto`` means for this checkpoint: the one its config names, else float32."""
    if dtype != "auto":
        return dtype
    config = json.loads((checkpoint.weights / "config.json").read_text(encoding="utf-8"))
    named = config.get("dtype") or config.get("torch_dtype") or config.get("text_config", {}).get("dtype")
    return str(named) if named in DTYPES else "float32"


def open_scorer(checkpoint: Checkpoint, spec: EngineSpec) -> Scorer:
    """Load the checkpoint into the engine that `spec` names.

    Raises:
        InputError: when the engine's library is missing, or it refuses the arguments.
    """
    if spec.backend != "vllm":
        from harness.scorers.vllm_shared import close_unused

        close_unused()
    if spec.backend.startswith(LM_EVAL_PREFIX):
        from harness.scorers.lm_eval import open_lm_eval

        return open_lm_eval(checkpoint, spec)
    module, _, function = BACKENDS[spec.backend].partition(":")
    opener: Callable[[Checkpoint, EngineSpec], Scorer] = getattr(importlib.import_module(module), function)
    return opener(checkpoint, spec)
