"""GGUF files: each is converted once to a transformers folder in the cache folder.

The weights are dequantised to float32, so that the scores are those of the quantised values.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from pathlib import Path
from typing import Any

from harness.checkpoints.fit import check_parts, check_weights, check_whole
from harness.checkpoints.gguf_support import begins_with_bos, check_keys, check_tensors, llama3_scaling, set_bos
from harness.digests import file_digest
from harness.errors import CheckpointError, whole_reason
from harness.paths import cache_dir, writable_cache_dir

GGUF_MAGIC = b"GGUF"
CONVERSION = "3"  # part of the cache key: raise it when the conversion changes what it writes


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


def _convert(path: Path, folder: Path) -> None:
    import torch
    from gguf import GGUFReader
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, GgufConfig

    place: dict[str, Any] = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    try:
        reader = GGUFReader(path)
        config = AutoConfig.from_pretrained(**place)
        check_parts(path, config.to_dict(), len(reader.tensors))
        check_keys(path, reader, config)
        check_weights(path, config, path.stat().st_size)
        scaling = llama3_scaling(path, reader, config)
        if scaling is not None:
            config.rope_parameters = scaling
        tokenizer = AutoTokenizer.from_pretrained(**place)
        set_bos(path, tokenizer, begins_with_bos(reader))
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            **place,
            config=config,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.float32,
            output_loading_info=True,
        )
    except CheckpointError:
        raise
    except Exception as error:  # a damaged file raises exceptions of any type
        reason = whole_reason(error)
        raise CheckpointError(
            f"{path}: transformers cannot read this GGUF file ({reason}); check that it is complete, or convert it to "
            "a transformers folder with the tool that made it."
        ) from None
    model, info = loaded  # with output_loading_info, transformers returns both
    check_whole(str(path), info)
    check_tensors(path, reader, model)
    try:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    except (OSError, RuntimeError) as error:  # safetensors raises a RuntimeError for a full disk
        raise CheckpointError(
            f"{path}: its conversion cannot be written to {folder.parent} ({whole_reason(error)}); free disk space "
            "there, or set HARNESS_CACHE_DIR to another folder."
        ) from None
