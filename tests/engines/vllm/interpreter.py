"""Let vLLM's V2 model runner, which CUDA uses, run on the CPU: Triton's interpreter runs its kernels.

vLLM's CPU build uses Triton only if Triton has a backend called ``cpu``, which the wheels on the index lack. The
interpreter needs no backend, so `environment` adds one that compiles nothing. Triton itself is in a separate folder
(`make vllm-cpu`), because torch's CPU build would try to compile with it.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Where `make vllm-cpu` installs Triton.
TRITON = Path(sys.prefix) / "triton"

_NAME = "interpreter_as_triton_backend"
_COMPILER = """
from triton.backends.compiler import BaseBackend

class Interpreted(BaseBackend):
    pass

Interpreted.__abstractmethods__ = frozenset()
"""
_DRIVER = """
import torch
from triton.backends.compiler import GPUTarget
from triton.backends.driver import DriverBase

class Driver(DriverBase):
    @classmethod
    def is_active(cls):
        return True

    def map_python_to_cpp_type(self, ty):
        raise NotImplementedError

    def get_current_target(self):
        return GPUTarget("cpu", 0, 1)

    def get_active_torch_device(self):
        return torch.device("cpu")

    def get_benchmarker(self):
        raise NotImplementedError
"""


def environment(folder: Path) -> dict[str, str]:
    """Write the backend into `folder`; returns the environment variables that make vLLM use V2 with it."""
    package, about = folder / _NAME, folder / f"{_NAME}-1.dist-info"
    for made in (package, about):
        made.mkdir(parents=True)
    for name, text in {"__init__": "", "compiler": _COMPILER, "driver": _DRIVER}.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_NAME}\nVersion: 1\n", encoding="utf-8")
    (about / "entry_points.txt").write_text(f"[triton.backends]\ncpu = {_NAME}\n", encoding="utf-8")
    path = os.pathsep.join(filter(None, [str(folder), str(TRITON), os.environ.get("PYTHONPATH")]))
    return {"VLLM_USE_V2_MODEL_RUNNER": "1", "TRITON_INTERPRET": "1", "PYTHONPATH": path}


@contextlib.contextmanager
def use_model_runner(name: str, folder: Path) -> Iterator[None]:
    """Open engines with the model runner ``V1`` or ``V2``; what V2 needs is written to the empty `folder`."""
    if name == "V2" and not TRITON.is_dir():
        reason = f"Triton is not in {TRITON}; run `make vllm-cpu`"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    variables = environment(folder) if name == "V2" else {"VLLM_USE_V2_MODEL_RUNNER": "0"}
    with pytest.MonkeyPatch.context() as patch:
        for variable, value in variables.items():
            patch.setenv(variable, value)
        yield
