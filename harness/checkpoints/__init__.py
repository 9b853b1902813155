"""Checkpoints: finding and checking them, their digests, their stage manifests and their lineage.

from harness.checkpoints import checkpoint_digest, resolve

checkpoint = resolve("runs/sft/checkpoint-30")
checkpoint_digest(checkpoint)  # "sha256:..."
"""

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.resolver import expand, resolve

__all__ = ["Checkpoint", "checkpoint_digest", "expand", "resolve"]
