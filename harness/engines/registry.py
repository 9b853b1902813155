"""Engines that answer requests, found by name in one lazy table; nothing is imported until it is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.engines.spec import ENGINE_VERSIONS, LM_EVAL_PREFIX, SCRIPTED, EngineSpec, resolve_dtype
from harness.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from harness.checkpoints.checkpoint import Checkpoint
    from harness.engines.base import Engine

# name -> "module:function(Checkpoint, EngineSpec) -> Engine"
BACKENDS = {
    "hf": "harness.engines.hf.engine:open_hf",
    "vllm": "harness.engines.vllm.engine:open_vllm",
}


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


def open_engine(checkpoint: Checkpoint, spec: EngineSpec) -> Engine:
    """Load the checkpoint into the engine that `spec` names.

    Raises:
        InputError: when the engine's library is missing, or it refuses the arguments.
    """
    if spec.backend != "vllm":
        from harness.engines.vllm.engine_pool import close_unused

        close_unused()
    if spec.backend.startswith(LM_EVAL_PREFIX):
        from harness.engines.lm_eval import open_lm_eval

        return open_lm_eval(checkpoint, spec)
    module, _, function = BACKENDS[spec.backend].partition(":")
    opener: Callable[[Checkpoint, EngineSpec], Engine] = getattr(importlib.import_module(module), function)
    return opener(checkpoint, spec)
