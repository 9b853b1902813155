"""A checkpoint with its files (weights, tokenizer, adapter), and checks that they are complete. Reads no weights."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.checkpoints.unmerged import refuse_unmerged
from harness.errors import CheckpointError, whole_reason

SAFETENSORS = ("model.safetensors", "model.safetensors.index.json")
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
ADAPTER_SAFETENSORS = "adapter_model.safetensors"
ADAPTER_PICKLE = "adapter_model.bin"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "spiece.model", "tokenizer_config.json")
# A number of nine digits or more in tokenizer.json, and the keys whose numbers are no token ids.
HUGE_NUMBER = re.compile(rb":\s*(\d{9,})\s*[,}]")
NOT_IDS = (
    b'"max_length"',
    b'"max_input_chars_per_word"',
    b'"stride"',
    b'"pad_to_multiple_of"',
    b'"length"',
    b'"Fixed"',
)
Kind = Literal["folder", "adapter", "gguf", "hub"]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A checkpoint whose files exist and were checked.

    Attributes:
        name: Its name in records and tables.
        source: The path or hub id as the user typed it.
        kind: What the source is.
        weights: Folder of the transformers model to load; for an adapter its base, for a GGUF file its conversion.
        own_tokenizer: Folder of the checkpoint's tokenizer; it has no tokenizer files if none was saved.
        other_tokenizer: Folder of the tokenizer to use instead: that of ``--tokenizer``, or the folder above.
        adapter: Folder of the PEFT adapter, if there is one.
        revision: Hub revision (commit), for hub ids.
        weight_files: All files with weights, of base and adapter.
    """

    name: str
    source: str
    kind: Kind
    weights: Path
    own_tokenizer: Path
    other_tokenizer: Path | None = None
    adapter: Path | None = None
    revision: str | None = None
    weight_files: tuple[Path, ...] = ()

    @property
    def tokenizer(self) -> Path:
        """Folder of the tokenizer to use."""
        return self.other_tokenizer or self.own_tokenizer


def read_json(path: Path, needed_by: str) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        CheckpointError: The file is missing, or is not a JSON object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no such file; {needed_by} needs it. Give a complete folder.") from None
    except (OSError, ValueError, RecursionError) as error:  # not UTF-8, not JSON, nested too deep, a number too long
        raise CheckpointError(
            f"{path}: not readable as JSON ({whole_reason(error)}); save the checkpoint again."
        ) from None
    if not isinstance(value, dict):
        raise CheckpointError(f"{path}: is a {type(value).__name__}, must be a JSON object; save the checkpoint again.")
    return value


def weight_files(folder: Path, *, allow_pickle: bool) -> tuple[Path, ...]:
    """Return the weight files of a transformers folder, after checking that each is complete.

    Raises:
        CheckpointError: There are none, one is missing or damaged, or they are pickled and that is not allowed.
    """
    single, index = (folder / name for name in SAFETENSORS)
    if single.exists():
        check_safetensors(single)
        return (single,)
    if index.exists():
        shards = _shards(index)
        for shard in shards:
            check_safetensors(shard)
        return shards
    pickle, pickle_index = (folder / name for name in PICKLES)
    weights_file = pickle if pickle.exists() else pickle_index if pickle_index.exists() else None
    if weights_file is None:
        refuse_unmerged(folder)
        raise CheckpointError(
            f"{folder}: no weights; a transformers folder has {' or '.join(SAFETENSORS)}. "
            "Give a folder that save_pretrained wrote."
        )
    refuse_pickle(weights_file, allow_pickle=allow_pickle)
    return (pickle,) if weights_file == pickle else _shards(pickle_index)


def check_tokenizer(folder: Path) -> None:
    """Refuse a tokenizer.json with an impossible token id: the library reserves memory for all ids below it.

    Raises:
        CheckpointError: the file cannot be read, or has such a number.
    """
    path = folder / "tokenizer.json"
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise CheckpointError(
            f"{path}: cannot be read ({error.strerror}); check the file and its permissions."
        ) from None
    found = next((hit for hit in HUGE_NUMBER.finditer(content) if _is_token_id(content, hit.start())), None)
    if found:
        raise CheckpointError(
            f"{path}: has the token id {found[1][:20].decode()}; ids must be below 100,000,000. Save the tokenizer "
            "again."
        )


def _is_token_id(content: bytes, position: int) -> bool:
    """Whether the number after this position belongs to a token. A pattern with the key in it would take seconds."""
    return not content[max(0, position - 64) : position].rstrip().endswith(NOT_IDS)


def check_safetensors(path: Path) -> None:
    """Check that the header is valid and matches the file's length, without reading the weights.

    Raises:
        CheckpointError: Names the file and the problem.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            names = list(file.keys())
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path}: damaged or cut off ({whole_reason(error)}); copy or download the file again."
        ) from None
    if not names:
        raise CheckpointError(f"{path}: has no tensors; save the checkpoint again.")


def refuse_pickle(path: Path, *, allow_pickle: bool) -> None:
    """Raise a CheckpointError for pickled weights, unless they are allowed."""
    if not allow_pickle:
        raise CheckpointError(
            f"{path}: pickled weights can run code when they are loaded; save them as safetensors, or give "
            "--allow_pickle if you trust their author."
        )


def _shards(index: Path) -> tuple[Path, ...]:
    weight_map = read_json(index, "a sharded checkpoint").get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: no weight_map; save the checkpoint again.")
    names = sorted({str(name) for name in weight_map.values()})
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise CheckpointError(f"{index}: refers to shard {outside[0]!r} outside its folder; save the checkpoint again.")
    shards = tuple(index.parent / name for name in names)
    there = {path.name for path in index.parent.iterdir()}
    missing = [name for name in names if name not in there]
    if missing:
        raise CheckpointError(
            f"{index}: {len(missing)} of {len(shards)} shards are missing (first: {missing[0][:60]!r}); copy them next "
            "to it."
        )
    return shards
