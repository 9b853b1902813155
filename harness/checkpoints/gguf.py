"""GGUF files: each is converted once to a transformers folder in the cache folder.

The weights are dequantised to float32, so that the scores are those of the quantised values.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from pathlib import Path

from harness.checkpoints.fit import check_parts, check_weights
from harness.digests import file_digest
from harness.errors import CheckpointError, first_line
from harness.paths import cache_dir, writable_cache_dir

GGUF_MAGIC = b"GGUF"
CONVERSION = "1"  # part of the cache key: raise it when the conversion changes what it writes


def converted(path: Path, *, verify: bool = False) -> Path:
    """Return the folder with `path` as safetensors and its tokenizer; the first call converts it.

    Args:
        path: The file.
        verify: Hash the file even if its digest is cached.

    Raises:
        CheckpointError: The file is not GGUF, is damaged, or has an architecture that transformers cannot read.
    """
    _check_magic(path)
    key = hashlib.sha256(f"{file_digest(path, verify=verify)}/{CONVERSION}".encode()).hexdigest()[:20]
    folder = cache_dir() / "models" / f"{path.stem}-{key}"
    if folder.is_dir():
        return folder
    writable_cache_dir(f"the converted model of {path}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".converting-", dir=folder.parent))
    except OSError as error:
        raise CheckpointError(
            f"{folder.parent}: the converted model cannot be written there ({error.strerror}); set HARNESS_CACHE_DIR "
            "to a writable folder."
        ) from None
    try:
        _convert(path, work)
        with contextlib.suppress(OSError):  # another process may have converted the same file first
            work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return folder


def _check_magic(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); check the file and its permissions."
        ) from None
    if magic != GGUF_MAGIC:
        raise CheckpointError(
            f"{path}: not a GGUF file (it starts with {magic!r}, not {GGUF_MAGIC!r}); download it again."
        )


def _check_size(path: Path) -> None:
    """Refuse a file whose header describes a model that cannot be in it."""
    from gguf import GGUFReader
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(str(path.parent), gguf_file=path.name)
    check_parts(path, config.to_dict(), len(GGUFReader(path).tensors))
    check_weights(path, config, path.stat().st_size)


def _convert(path: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    try:
        _check_size(path)
        tokenizer = AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)
        model = AutoModelForCausalLM.from_pretrained(
            str(path.parent),
            gguf_file=path.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
        )
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file raises exceptions of any type
        reason = first_line(error, max_characters=200)
        raise CheckpointError(
            f"{path}: transformers cannot read this GGUF file ({reason}); check that it is complete, or convert it to "
            "a transformers folder with the tool that made it."
        ) from None
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except (OSError, RuntimeError) as error:  # safetensors raises a RuntimeError for a full disk
        raise CheckpointError(
            f"{path}: its conversion cannot be written to {folder.parent} ({first_line(error)}); free disk space "
            "there, or set HARNESS_CACHE_DIR to another folder."
        ) from None
