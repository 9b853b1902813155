"""How an engine runs a checkpoint: the engine's flags of ``harness eval``, and the dtype that ``auto`` means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from harness.checkpoints.checkpoint import Checkpoint


DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """How to run a checkpoint.

    Attributes:
        backend: ``auto``, the name of an engine (an entry point of `harness.engines`), or ``lm-eval:NAME``.
        dtype: ``auto`` (the checkpoint's own), ``float32``, ``bfloat16`` or ``float16``.
        device: ``auto`` or a torch device.
        batch_size: ``auto`` or the number of rows in a forward pass.
        max_length: Longest input in tokens; None means the model's own limit.
        trust_remote_code: Whether code that comes with the checkpoint may run.
        allow_pickle: Whether pickled weights may be loaded.
        model_args: Further arguments of the engine, passed on unchanged.
        think_end: The tag that ends a thinking model's reasoning; None if the model has none.
        generates: Whether any request is for text. If not, an engine may start faster, but must still generate.
    """

    backend: str = "auto"
    dtype: str = "auto"
    device: str = "auto"
    batch_size: int | str = "auto"
    max_length: int | None = None
    trust_remote_code: bool = False
    allow_pickle: bool = False
    model_args: Mapping[str, Any] = field(default_factory=dict)
    think_end: str | None = None
    generates: bool = True


def resolve_dtype(checkpoint: Checkpoint, dtype: str) -> str:
    """Return the dtype that ``auto`` means for this checkpoint: the one its config names, otherwise float32."""
    if dtype != "auto":
        return dtype
    config = json.loads((checkpoint.weights / "config.json").read_text(encoding="utf-8"))
    text_config = config.get("text_config")
    of_text = text_config.get("dtype") if isinstance(text_config, dict) else None
    named = config.get("dtype") or config.get("torch_dtype") or of_text
    return named if isinstance(named, str) and named in DTYPES else "float32"
