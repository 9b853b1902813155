"""Is a source this project's evaluation data? By its task, its path, its hub id, or its bytes.

What tasks are evaluated on stands in their manifests (`harness.data`); an entry whose name ends in ``_train`` is what
few-shot examples come from, and may be trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.data import DataFile, all_files
from harness.digests import file_digest
from harness.errors import InputError
from trainers.spec import SourceSpec, StageSpec

# Pinned files are data files of some megabytes: others need no hashing.
HASHED_SUFFIXES = (".json", ".jsonl", ".ndjson", ".parquet", ".gz")
HASHED_BYTES = 1 << 28


def evaluation_files() -> dict[str, DataFile]:
    """Return the manifests' entries that some task is evaluated on."""
    return {name: file for name, file in all_files().items() if not name.endswith("_train")}


def eval_data_of(spec: SourceSpec, files: Sequence[Path]) -> tuple[str, ...]:
    """Return the names of the evaluation data that a source holds."""
    if spec.task is not None:
        return (f"{spec.task}:{spec.split}",) if spec.split != "train" else ()
    pinned = evaluation_files()
    if spec.hub is not None:
        return tuple(name for name, file in pinned.items() if _is_hub_split(spec, file))
    digests = {digest: name for name, file in pinned.items() for digest in file.sha256}
    found: dict[str, None] = {}
    for path in files:
        parts = path.resolve().parts
        found.update(
            (name, None)
            for name, file in pinned.items()
            if parts[-len(Path(file.path).parts) :] == Path(file.path).parts
        )
        if path.suffix in HASHED_SUFFIXES and path.stat().st_size <= HASHED_BYTES and file_digest(path) in digests:
            found[digests[file_digest(path)]] = None
    return tuple(found)


def _is_hub_split(spec: SourceSpec, file: DataFile) -> bool:
    return file.hub is not None and file.hub.repo == spec.hub and spec.split != "train"


def check_eval_data(spec: StageSpec, files: Mapping[str, Sequence[Path]]) -> dict[str, tuple[str, ...]]:
    """Return for each source the evaluation data it holds.

    Raises:
        InputError: there is some, and the stage file does not allow it.
    """
    found = {name: eval_data_of(source, files.get(name, ())) for name, source in spec.data.sources.items()}
    for name, held in found.items():
        if held and not spec.allow_eval_data:
            raise InputError(
                f"data.sources.{name}: {spec.data.sources[name].location} is evaluation data of this project "
                f"({', '.join(held)}); train on other data, or set allow_eval_data: true, which every record will show."
            )
    return found
