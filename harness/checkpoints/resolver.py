"""Find and check checkpoints: transformers folders, PEFT adapters, GGUF files and hub ids.

`resolve` turns what the user typed into a `Checkpoint` with complete files, without loading weights. Engines load the
weights; `identity` computes digests.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.checkpoints.checkpoint import (
    ADAPTER_PICKLE,
    ADAPTER_SAFETENSORS,
    Checkpoint,
    check_safetensors,
    read_json,
    refuse_pickle,
    weight_files,
)
from harness.checkpoints.folders import ADAPTER_CONFIG, SAVED_STATES, TRAINER_STEP, step_number
from harness.checkpoints.hub import UnavailableError, hub_folder
from harness.checkpoints.stage_manifest import MANIFEST_NAME
from harness.checkpoints.tokenizer import has_tokenizer, with_tokenizer
from harness.checkpoints.unmerged import refuse_unmerged
from harness.errors import CheckpointError

# If this one is damaged, transformers uses defaults without a warning.
GENERATION_CONFIG = "generation_config.json"
HUB_ID = re.compile(r"^[A-Za-z0-9][\w.-]*(/[\w.-]+)?(@[\w./-]+)?$")


def expand(source: str) -> list[str]:
    """Return the ``checkpoint-N`` folders in `source`, sorted by N; if there are none, `source` itself.

    A folder with its own config.json or adapter_config.json is one checkpoint, even if it has ``checkpoint-N`` folders.
    """
    folder, (_, is_folder) = _path_and_kind(source)
    if not is_folder or (folder / "config.json").exists() or (folder / ADAPTER_CONFIG).exists():
        return [source]
    steps = {path: step_number(path, TRAINER_STEP) for path in folder.iterdir() if path.is_dir()}
    numbered = {path: number for path, number in steps.items() if number is not None}
    return [str(path) for path in sorted(numbered, key=numbered.__getitem__)] or [source]


def resolve(
    source: str,
    *,
    revision: str | None = None,
    allow_pickle: bool = False,
    verify: bool = False,
    tokenizer: str | None = None,
) -> Checkpoint:
    """Find the checkpoint that `source` names and check that its files are whole.

    Args:
        source: A value of ``--model`` other than a folder of ``checkpoint-*``. ``org/name@v1`` names a hub revision.
        revision: The hub revision of an id without its own.
        allow_pickle: Accept pickled weights.
        verify: Ignore the cached digest of a GGUF file when looking up its conversion.
        tokenizer: Folder or hub id of a tokenizer to use instead of the checkpoint's.

    Raises:
        CheckpointError: It does not exist, is incomplete or damaged, or has pickled weights without `allow_pickle`.
    """
    checkpoint = _without_tokenizer(source, revision=revision, allow_pickle=allow_pickle, verify=verify)
    return with_tokenizer(checkpoint, tokenizer)


def resolve_on(
    base: str, source: str, *, revision: str | None = None, allow_pickle: bool = False, tokenizer: str | None = None
) -> Checkpoint:
    """Find an adapter as `resolve` does, on another base than the one that its config names.

    Args:
        base: Folder, .gguf file or hub id of the base.
        source: The adapter's folder or hub id.
        revision: The hub revision of ids without their own.
        allow_pickle: Accept pickled weights.
        tokenizer: Folder or hub id of a tokenizer to use instead of the checkpoint's.

    Raises:
        CheckpointError: `source` is no adapter, or one of both cannot be used.
    """
    checkpoint = _without_tokenizer(source, revision=revision, allow_pickle=allow_pickle, base=base)
    if checkpoint.adapter is None:
        raise CheckpointError(f"--base {base}: {source} is no PEFT adapter, so it has no base; leave --base out.")
    return with_tokenizer(checkpoint, tokenizer)


def _without_tokenizer(
    source: str, *, revision: str | None, allow_pickle: bool, verify: bool = False, base: str | None = None
) -> Checkpoint:
    """The checkpoint before its tokenizer is known."""
    path, (is_file, is_folder) = _path_and_kind(source)
    if is_file:
        return _gguf(source, path, verify=verify)
    if is_folder:
        if (path / ADAPTER_CONFIG).exists():
            return _adapter(source, path, revision=revision, allow_pickle=allow_pickle, base=base)
        return _folder(source, path, allow_pickle=allow_pickle)
    name, own_revision = split_revision(source)
    if _looks_like_a_path(name) or not HUB_ID.match(source):
        raise CheckpointError(
            f"{source}: no such folder or file; give a transformers folder, a PEFT adapter folder, "
            "a .gguf file or a hub id such as org/name or org/name@revision."
        )
    return _hub(name, revision=own_revision or revision, allow_pickle=allow_pickle, base=base)


def split_revision(source: str) -> tuple[str, str | None]:
    """Split a hub id from its commit, tag or branch: ``org/name@v1`` -> ``("org/name", "v1")``."""
    name, _, revision = source.partition("@")
    return name, revision or None


def _path_and_kind(source: str) -> tuple[Path, tuple[bool, bool]]:
    """`source` as a path, and whether it is a file and a folder; both false if it cannot be a path."""
    try:
        path = Path(source).expanduser()
        return path, (path.is_file(), path.is_dir())
    except RuntimeError:  # ~nobody
        return Path(source), (False, False)
    except OSError as error:
        raise CheckpointError(f"{source[:200]}: cannot be accessed ({error.strerror}); give another path.") from None


def _looks_like_a_path(source: str) -> bool:
    return source.startswith((".", "/", "~")) or source.count("/") > 1 or source.endswith((".gguf", ".safetensors"))


def _display_name(path: Path) -> str:
    """Return a folder's name; before a step, which alone does not identify a checkpoint, that of its run.

    runs/sft                             sft
    runs/sft/checkpoint-30               sft/checkpoint-30
    runs/sft/training/checkpoint-30      sft/checkpoint-30, where a stage of this project saved it
    """
    resolved = path.resolve()
    if not resolved.name.startswith(TRAINER_STEP):
        return resolved.name
    run = resolved.parent
    if run.name == SAVED_STATES and (resolved / MANIFEST_NAME).is_file():
        run = run.parent
    return f"{run.name}/{resolved.name}"


def _folder(source: str, path: Path, *, allow_pickle: bool) -> Checkpoint:
    if not (path / "config.json").exists():
        refuse_unmerged(path)
    config = read_json(path / "config.json", "a transformers folder")
    if "model_type" not in config and not config.get("architectures"):
        raise CheckpointError(
            f"{path / 'config.json'}: neither model_type nor architectures is set, so no model can be built; "
            "save the checkpoint with save_pretrained."
        )
    if (path / GENERATION_CONFIG).exists():
        read_json(path / GENERATION_CONFIG, "a transformers folder")
    files = weight_files(path, allow_pickle=allow_pickle)
    return Checkpoint(
        name=_display_name(path), source=source, kind="folder", weights=path, own_tokenizer=path, weight_files=files
    )


def _adapter(
    source: str, path: Path, *, revision: str | None, allow_pickle: bool, base: str | None = None
) -> Checkpoint:
    config = read_json(path / ADAPTER_CONFIG, "a PEFT adapter")
    own = _adapter_weights(path, allow_pickle=allow_pickle)
    if base is None:
        model = _base_of(path, config, revision=revision, allow_pickle=allow_pickle)
    else:
        model = _without_tokenizer(base, revision=revision, allow_pickle=allow_pickle)
        if model.adapter is not None:
            raise CheckpointError(f"--base {base}: is an adapter itself; merge it into its base first.")
    return Checkpoint(
        name=_display_name(path),
        source=source,
        kind="adapter",
        weights=model.weights,
        own_tokenizer=path if has_tokenizer(path) else model.own_tokenizer,
        adapter=path,
        revision=model.revision,
        weight_files=(*model.weight_files, own),
    )


def _adapter_weights(path: Path, *, allow_pickle: bool) -> Path:
    safetensors, pickle = path / ADAPTER_SAFETENSORS, path / ADAPTER_PICKLE
    if safetensors.exists():
        check_safetensors(safetensors)
        return safetensors
    if pickle.exists():
        refuse_pickle(pickle, allow_pickle=allow_pickle)
        return pickle
    refuse_unmerged(path)
    raise CheckpointError(f"{path}: no adapter weights; an adapter needs {ADAPTER_SAFETENSORS}.")


def _base_of(path: Path, config: Mapping[str, Any], *, revision: str | None, allow_pickle: bool) -> Checkpoint:
    """Return the base that an adapter's config names."""
    config_path = path / ADAPTER_CONFIG
    base_source = config.get("base_model_name_or_path")
    if not base_source or not isinstance(base_source, str):
        raise CheckpointError(
            f"{config_path}: base_model_name_or_path is empty; set it to the base's folder or hub id, or give --base."
        )
    try:
        location = _base_location(base_source, path)
        if (Path(location) / ADAPTER_CONFIG).exists():
            raise CheckpointError(f"{location} is an adapter itself; merge it into its base first.")
        return _without_tokenizer(location, revision=config.get("revision") or revision, allow_pickle=allow_pickle)
    except CheckpointError as error:
        raise CheckpointError(
            f"{config_path}: the adapter's base {base_source!r} cannot be used ({error}) "
            "Correct base_model_name_or_path, put the base there, or give --base."
        ) from None


def _base_location(base_source: str, adapter: Path) -> str:
    """Look up a relative base from the working folder first, as PEFT does, then from the adapter's folder.

    The adapter of a stage names its merged base relative to itself, so that both can be moved.
    """
    in_adapter = adapter / base_source
    of_a_stage = (adapter / MANIFEST_NAME).is_file()
    if in_adapter.is_dir() and (of_a_stage or not Path(base_source).expanduser().exists()):
        return str(in_adapter)
    return base_source


def _gguf(source: str, path: Path, *, verify: bool) -> Checkpoint:
    if path.suffix != ".gguf":
        raise CheckpointError(
            f"{path}: a single file must be a .gguf file; give one, or the folder of a safetensors file."
        )
    from harness.checkpoints.gguf import converted

    folder = converted(path, verify=verify)
    return Checkpoint(
        name=path.stem,
        source=source,
        kind="gguf",
        weights=folder,
        own_tokenizer=folder,
        weight_files=weight_files(folder, allow_pickle=False),
    )


def _hub(source: str, *, revision: str | None, allow_pickle: bool, base: str | None = None) -> Checkpoint:
    patterns = ["*.json", "*.safetensors", "*.model", "*.txt", "*.jinja", "*.py", *(["*.bin"] if allow_pickle else [])]
    try:
        folder = hub_folder(source, revision=revision, patterns=patterns)
    except UnavailableError as reason:
        raise CheckpointError(
            f"{source}: neither a local path nor available from the hub ({reason}); "
            "check the name, your connection and `hf auth login`, or give a local folder."
        ) from None
    if (folder / ADAPTER_CONFIG).exists():
        of_base = None if base is None else revision
        checkpoint = _adapter(source, folder, revision=of_base, allow_pickle=allow_pickle, base=base)
    else:
        checkpoint = _folder(source, folder, allow_pickle=allow_pickle)
    return Checkpoint(**{**vars(checkpoint), "name": source, "kind": "hub", "revision": folder.name})


def hub_copy(source: str, revision: str | None) -> Checkpoint | None:
    """Return a hub model if it is complete in the hub's local cache, else None. Does not contact the hub."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        folder = snapshot_download(source, revision=revision, local_files_only=True)
        return replace(resolve(folder, allow_pickle=True), name=source, source=source, kind="hub", revision=revision)
    except (LocalEntryNotFoundError, HFValidationError, CheckpointError, OSError):
        return None
