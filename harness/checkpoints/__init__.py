"""What a checkpoint is, how it is found, how two are told apart, and how it came to be."""

from harness.checkpoints.checkpoint import Checkpoint
from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.resolver import expand, resolve

__all__ = ["Checkpoint", "checkpoint_digest", "expand", "resolve"]
