"""Find the tokenizer of a checkpoint: next to its weights, in the folder above, or where ``--tokenizer`` says.

Trainer saves tokenizers only in some cases. Without one, a run looks like this, and the checkpoint uses the run's:

    run/                 tokenizer.json, tokenizer_config.json
    run/checkpoint-30/   config.json, model.safetensors
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from harness.checkpoints.checkpoint import TOKENIZER_FILES, Checkpoint, check_tokenizer, read_json
from harness.checkpoints.folders import TRAINER_STEP, step_number
from harness.checkpoints.hub import UnavailableError, hub_folder
from harness.errors import CheckpointError

# JSON files that transformers may ignore without a warning when they are damaged.
TOKENIZER_SETTINGS = ("tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def has_tokenizer(folder: Path) -> bool:
    """Whether the folder has a tokenizer's files."""
    return any((folder / name).exists() for name in TOKENIZER_FILES)


def with_tokenizer(checkpoint: Checkpoint, given: str | None = None) -> Checkpoint:
    """Return the checkpoint with its tokenizer.

    Args:
        checkpoint: A checkpoint; `own_tokenizer` may have no files.
        given: The value of ``--tokenizer``: a folder or hub id.

    Raises:
        CheckpointError: there is no tokenizer, or it is damaged.
    """
    if given is not None:
        return _checked(replace(checkpoint, other_tokenizer=_given_folder(given)))
    for folder in _places(checkpoint):
        if has_tokenizer(folder):
            own = folder == checkpoint.own_tokenizer
            return _checked(replace(checkpoint, other_tokenizer=None if own else folder))
    raise CheckpointError(
        f"{checkpoint.adapter or checkpoint.weights}: no tokenizer files ({', '.join(TOKENIZER_FILES)}), nor in the "
        "folder above; give --tokenizer PATH_OR_ID, or save the tokenizer next to the weights with "
        "tokenizer.save_pretrained."
    )


def _places(checkpoint: Checkpoint) -> Iterator[Path]:
    """Folders that may have the tokenizer; that of an adapter before that of its base."""
    adapter = checkpoint.adapter
    if adapter is not None:
        yield adapter
        if step_number(adapter, TRAINER_STEP) is not None:
            yield adapter.absolute().parent
    yield checkpoint.own_tokenizer
    yield checkpoint.weights.absolute().parent
    if adapter is not None:
        yield adapter.absolute().parent


def _checked(checkpoint: Checkpoint) -> Checkpoint:
    check_tokenizer(checkpoint.tokenizer)
    for name in TOKENIZER_SETTINGS:
        if (checkpoint.tokenizer / name).exists():
            read_json(checkpoint.tokenizer / name, "a tokenizer")
    return checkpoint


def _given_folder(given: str) -> Path:
    try:
        folder = Path(given).expanduser()
        is_there, is_folder = folder.exists(), folder.is_dir()
    except (OSError, RuntimeError):  # a name that is too long, ~nobody
        folder, is_there, is_folder = Path(given), True, False
    if not is_there and not given.startswith((".", "/", "~")) and given.count("/") < 2:
        return _from_hub(given)
    if not is_folder or not has_tokenizer(folder):
        raise CheckpointError(
            f"--tokenizer {given}: no folder with a tokenizer ({', '.join(TOKENIZER_FILES)}); give one that "
            "tokenizer.save_pretrained wrote, or a hub id such as org/name."
        )
    return folder


def _from_hub(name: str) -> Path:
    try:
        folder = hub_folder(name, patterns=["*.json", "*.model", "*.txt", "*.jinja", "*.tiktoken", "*.py"])
    except UnavailableError as reason:
        raise CheckpointError(
            f"--tokenizer {name}: neither a local folder nor available from the hub ({reason}); check the "
            "name and your connection, or give a local folder."
        ) from None
    if not has_tokenizer(folder):
        raise CheckpointError(f"--tokenizer {name}: has no tokenizer files; give another hub id, or a local folder.")
    return folder
