"""Is a source this project's evaluation data? By its task, its path, its hub id, or its bytes.

What tasks are evaluated on stands in their manifests (`harness.data`); an entry whose name ends in ``_train`` is what
few-shot examples come from, and may be trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.data.manifest import DataFile, all_files
from harness.digests import file_digest
from harness.errors import InputError
from harness.trainers.data.spec import SourceSpec
from harness.trainers.stage.spec import StageSpec

WHOLE = ":*"  # after a hub id: every split of it is evaluated on


def evaluation_files() -> dict[str, DataFile]:
    """Return the manifests' entries that some task is evaluated on."""
    return {name: file for name, file in all_files().items() if not name.endswith("_train")}


def eval_data_of(spec: SourceSpec, files: Sequence[Path]) -> tuple[str, ...]:
    """Return the names of the evaluation data that a source holds."""
    if spec.task is not None:
        return (f"{spec.task}:{spec.split}",) if spec.split != "train" else ()
    pinned = evaluation_files()
    if spec.hub is not None and not Path(spec.hub).exists():
        return tuple(name for name, file in pinned.items() if _is_hub_split(spec, file))
    if spec.hub is not None:
        files = [path for path in Path(spec.hub).rglob("*") if path.is_file()]
    digests = {digest: name for name, file in pinned.items() for digest in file.sha256}
    sizes = {file.bytes for file in pinned.values()}  # a file of another size is none of them, and is not hashed
    found: dict[str, None] = {}
    for path in files:
        parts = path.resolve().parts
        found.update(
            (name, None)
            for name, file in pinned.items()
            if parts[-len(Path(file.path).parts) :] == Path(file.path).parts
        )
        if path.stat().st_size in sizes and file_digest(path) in digests:
            found[digests[file_digest(path)]] = None
    return tuple(found)


def _is_hub_split(spec: SourceSpec, file: DataFile) -> bool:
    ids = (*file.elsewhere, *([file.hub.repo] if file.hub is not None else []))
    whole = {id_.removesuffix(WHOLE).casefold() for id_ in ids if id_.endswith(WHOLE)}
    others = {id_.casefold() for id_ in ids}
    asked = str(spec.hub).casefold()
    return asked in whole or (asked in others and not _only_train(spec.split))


def _only_train(split: str) -> bool:
    """A split may be a slice or a sum: ``train[:10%]``, ``train+test``."""
    return all(part.split("[")[0] == "train" for part in split.split("+"))


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
