"""Digests of a checkpoint and of a tokenizer from elsewhere: SHA-256 over all files that determine answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.digests import file_digest

if TYPE_CHECKING:
    from harness.checkpoints.checkpoint import Checkpoint


# Files besides the weights that determine answers: architecture, tokenizer, chat template, generation defaults, code.
IDENTITY_PATTERNS = ("*.json", "*.jinja", "*.model", "*.txt", "*.py")
# Files that trainers write next to the weights and that no engine reads.
NOT_IDENTITY = {"trainer_state.json", "training_args.bin", "stage.json", "all_results.json", "train_results.json"}
# Files of a tokenizer in a folder that may have others, such as those of a run.
TOKENIZER_PATTERNS = (
    "*token*.json",
    "*vocab*.json",
    "*vocab*.txt",
    "merges.txt",
    "tekken.json",
    "*.model",
    "*.tiktoken",
    "chat_template*",
    "tokenization*.py",
)


def checkpoint_digest(checkpoint: Checkpoint, *, verify: bool = False) -> str:
    """Return the SHA-256 over all the checkpoint's files that determine its answers, as ``sha256:<hex>``.

    The hash is over lines ``<role>/<file name>:<digest>``, such as ``weights/model.safetensors:9f86d0...``. So equal
    bytes at two paths have the same digest, and a retrained checkpoint at an old path has a different one.
    """
    return _digest(((f"{role}/{path.name}", path) for role, path in _identity_files(checkpoint)), verify=verify)


def tokenizer_digest(checkpoint: Checkpoint, *, verify: bool = False) -> str | None:
    """Return the SHA-256 over the files of a tokenizer from elsewhere; None if the checkpoint uses its own.

    The hash is over lines ``<file name>:<digest>``.
    """
    folder = checkpoint.other_tokenizer
    if folder is None:
        return None
    files = {path for pattern in TOKENIZER_PATTERNS for path in folder.glob(pattern) if path.is_file()}
    return _digest(((path.name, path) for path in sorted(files, key=lambda file: file.name)), verify=verify)


def _digest(files: Iterable[tuple[str, Path]], *, verify: bool) -> str:
    """Return the SHA-256 over a line per file: the name it is given here, and its digest."""
    total = hashlib.sha256()
    for name, path in files:
        total.update(f"{name}:{file_digest(path, verify=verify)}\n".encode())
    return f"sha256:{total.hexdigest()}"


def model_digest(own: str, tokenizer: str | None) -> str:
    """Return the digest of a model in records: `own`, or one over both when its tokenizer comes from elsewhere."""
    return own if tokenizer is None else f"sha256:{hashlib.sha256(f'{own}/{tokenizer}'.encode()).hexdigest()}"


def _identity_files(checkpoint: Checkpoint) -> list[tuple[str, Path]]:
    folders = {"weights": checkpoint.weights, "tokenizer": checkpoint.own_tokenizer}
    if checkpoint.adapter is not None:
        folders["adapter"] = checkpoint.adapter
    files = {("weights", path) for path in checkpoint.weight_files}
    for role, folder in folders.items():
        for pattern in IDENTITY_PATTERNS:
            files.update((role, path) for path in folder.glob(pattern) if path.name not in NOT_IDENTITY)
    return sorted(files, key=lambda item: (item[0], item[1].name, str(item[1])))
