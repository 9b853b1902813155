"""Digests of what a stage reads besides its parents: data, checkpoints from elsewhere; and versions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.resolver import resolve
from harness.errors import CheckpointError
from harness.paths import tasks_dir
from harness.study.files import digest_at, digest_of_files, files_in
from harness.study.nodes import REFERENCE
from harness.training import TRAINERS
from harness.versions import installed_versions

# Fields of a stage file whose texts may name files. A text that names none, such as a hub id, stands for itself.
FILE_FIELDS = ("path", "hub", "tokenizer", "chat_template", "from", "checkpoints", "deepspeed", "fsdp_config")
# This project's own version, too: its trainers, engines, metrics and sandbox decide weights and scores.
TRAINING_PACKAGES = ("stage-harness", "torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "datasets")
SCORING_PACKAGES = ("stage-harness", "lm_eval", "torch", "transformers", "vllm")


def data_digests(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest for each text of a stage file that names files, and one for the generators of tasks."""
    digests = {}
    for text in sorted(set(_texts(spec, FILE_FIELDS))):
        digest = _digest_of_path(text)
        if digest is not None:
            digests[text] = digest
    if any(True for _ in _texts(spec, ("task",))):
        folder = tasks_dir()
        files = files_in(folder, (".py",))
        digests["task"] = digest_of_files((str(path.relative_to(folder)), path) for path in files)
    return digests


def _texts(value: Any, fields: Sequence[str], field: str = "") -> Iterator[str]:
    """Yield the texts in these fields, at any depth."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _texts(inner, fields, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner, fields, field)
    elif isinstance(value, str) and field in fields and not REFERENCE.search(value):
        yield value


def _digest_of_path(text: str) -> str | None:
    """Return the digest of a checkpoint, file, folder or glob; None if the text names none."""
    path = Path(text).expanduser()
    if (path / "config.json").is_file() or (path / "adapter_config.json").is_file():
        with suppress(CheckpointError):  # a tokenizer's folder may have a configuration and no weights
            return checkpoint_digest(resolve(text))
    return digest_at(text)


def is_own_trainer(stage: str) -> bool:
    """Return whether a stage's trainer is this project's."""
    return all(
        entry.dist is None or entry.dist.name == "stage-harness" for entry in entry_points(group=TRAINERS, name=stage)
    )


def training_versions(stage: str) -> dict[str, str]:
    """Return the versions that a stage's weights depend on: the libraries', and that of another package's trainer."""
    versions = installed_versions(TRAINING_PACKAGES)
    del versions["python"]
    for entry in entry_points(group=TRAINERS, name=stage):
        if entry.dist is not None and entry.dist.name != "stage-harness":
            versions[entry.dist.name] = entry.dist.version
    return versions


def scoring_versions() -> dict[str, str]:
    """Return the versions that answers and scores depend on."""
    versions = installed_versions(SCORING_PACKAGES)
    del versions["python"]
    return versions
