"""The digest of a checkpoint: one SHA-256 over all files that determine its answers."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from harness.digests import file_digest

if TYPE_CHECKING:
    from harness.checkpoints.checkpoint import Checkpoint


# Files besides the weights that determine answers: architecture, tokenizer, chat template, generation defaults, code.
IDENTITY_PATTERNS = ("*.json", "*.jinja", "*.model", "*.txt", "*.py")
# Files that trainers write next to the weights and that no engine reads.
NOT_IDENTITY = {"trainer_state.json", "training_args.bin", "stage.json", "all_results.json", "train_results.json"}


def checkpoint_digest(checkpoint: Checkpoint, *, verify: bool = False) -> str:
    """Return the SHA-256 over all files that determine the checkpoint's answers, as ``sha256:<hex>``.

    The hash is over lines ``<role>/<file name>:<digest>``, such as ``weights/model.safetensors:9f86d0...``. So equal
    bytes at two paths have the same digest, and a retrained checkpoint at an old path has a different one.
    """
    total = hashlib.sha256()
    for role, path in _identity_files(checkpoint):
        total.update(f"{role}/{path.name}:{file_digest(path, verify=verify)}\n".encode())
    return f"sha256:{total.hexdigest()}"


def _identity_files(checkpoint: Checkpoint) -> list[tuple[str, Path]]:
    folders = {"weights": checkpoint.weights, "tokenizer": checkpoint.tokenizer}
    if checkpoint.adapter is not None:
        folders["adapter"] = checkpoint.adapter
    files = {("weights", path) for path in checkpoint.weight_files}
    for role, folder in folders.items():
        for pattern in IDENTITY_PATTERNS:
            files.update((role, path) for path in folder.glob(pattern) if path.name not in NOT_IDENTITY)
    return sorted(files, key=lambda item: (item[0], item[1].name, str(item[1])))
