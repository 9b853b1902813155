"""The `hf` engine: transformers models, with shared prefixes and packs. Its kind is here, the rest in `engine`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.engines.kind import EngineKind

if TYPE_CHECKING:
    from harness.checkpoints.checkpoint import Checkpoint
    from harness.engines.base import Engine
    from harness.engines.spec import EngineSpec


def _open(checkpoint: Checkpoint, spec: EngineSpec) -> Engine:
    from harness.engines.hf.engine import open_hf  # imports torch and transformers

    return open_hf(checkpoint, spec)


HF = EngineKind(version=3, open_checkpoint=_open)
