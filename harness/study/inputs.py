"""Digests of what a node reads besides its parents: data, checkpoints from elsewhere, task definitions, versions."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from harness.checkpoints.identity import checkpoint_digest
from harness.checkpoints.resolver import resolve
from harness.digests import file_digest
from harness.errors import CheckpointError
from harness.paths import data_dir, tasks_dir
from harness.study.nodes import REFERENCE
from harness.training import TRAINERS
from harness.versions import installed_versions

# Fields of a stage file whose texts may name files. A text that names none, such as a hub id, stands for itself.
FILE_FIELDS = ("path", "tokenizer", "chat_template", "from", "checkpoints")
LEFT_OUT = ("__pycache__", "node_modules", "site-packages")
DEFINITION_SUFFIXES = (".yaml", ".py", ".json", ".jsonl", ".csv", ".tsv", ".txt", ".parquet")
# This project's own version, too: its trainers, engines, metrics and sandbox decide weights and scores.
TRAINING_PACKAGES = ("stage-harness", "torch", "transformers", "trl", "peft", "accelerate", "tokenizers", "datasets")
SCORING_PACKAGES = ("stage-harness", "lm_eval", "torch", "transformers", "vllm")
SMALL_BYTES = 1_000_000


def data_digests(spec: Mapping[str, Any]) -> dict[str, str]:
    """Return a digest for each text of a stage file that names files, and one for the generators of tasks."""
    digests = {}
    for text in sorted(set(_texts(spec, FILE_FIELDS))):
        digest = _digest_of_path(text)
        if digest is not None:
            digests[text] = digest
    if any(True for _ in _texts(spec, ("task",))):
        folder = tasks_dir()
        files = _files_in(folder, (".py",))
        digests["task"] = _digest_of_files((str(path.relative_to(folder)), path) for path in files)
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
    """Return the digest of a file, folder or glob, looked up as the trainers do; None if there is no file."""
    path, folder = Path(text).expanduser(), data_dir()
    if (path / "config.json").is_file() or (path / "adapter_config.json").is_file():
        try:
            return checkpoint_digest(resolve(text))
        except CheckpointError:
            return None  # the trainer says what is wrong with it
    for place in [path] if path.is_absolute() or folder is None else [path, folder / path]:
        files = [place] if place.is_file() else _files_in(place) if place.is_dir() else _matching(place)
        if files:
            base = place if place.is_dir() else None
            return _digest_of_files((str(file.relative_to(base)) if base else file.name, file) for file in files)
    return None


def _matching(pattern: Path) -> list[Path]:
    names = glob.glob(str(pattern), recursive=True)  # noqa: PTH207 - absolute globs too
    return [path for path in sorted(map(Path, names)) if path.is_file()]


def _files_in(folder: Path, suffixes: tuple[str, ...] = ()) -> list[Path]:
    """Return the files below a folder, without hidden ones and installed packages."""
    files = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part in LEFT_OUT for part in parts)
        if not hidden and path.is_file() and (not suffixes or path.suffix in suffixes):
            files.append(path)
    return files


def _digest_of_files(files: Iterable[tuple[str, Path]]) -> str:
    total = hashlib.sha256()
    for name, path in files:
        total.update(f"{name}:{_digest_of_file(path)}\n".encode())
    return total.hexdigest()


def _digest_of_file(path: Path) -> str:
    """Return a file's digest. Hashing a small file, such as a task definition, is faster than looking up its digest."""
    small = path.stat().st_size <= SMALL_BYTES
    return hashlib.sha256(path.read_bytes()).hexdigest() if small else file_digest(path)


def definitions_digest(include_paths: Iterable[Path]) -> str:
    """Return the digest of everything that defines tasks: YAML, functions and data of this project's and the user's."""
    scoring = Path(__file__).parent.parent / "suite"
    folders = [tasks_dir(), scoring, *include_paths]
    return hashlib.sha256(
        "\n".join(
            _digest_of_files((str(path.relative_to(folder)), path) for path in _files_in(folder, DEFINITION_SUFFIXES))
            for folder in folders
        ).encode()
    ).hexdigest()


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
