"""Detect evaluation data of this project among the sources: by task, path, hub id or bytes.

The tasks' data manifests (`harness.data`) list what is evaluated on. Entries whose name ends in ``_train`` provide
few-shot examples and may be trained on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from harness.data.manifest import DataFile, all_files
from harness.digests import file_digest
from harness.errors import SpecError
from harness.trainers.data.opening import find_files, held_out_source
from harness.trainers.data.spec import SourceSpec
from harness.trainers.stage.spec import StageSpec

ALL_SPLITS = ":*"  # after a hub id: every split is evaluation data


def evaluation_files() -> dict[str, DataFile]:
    """Return the entries of the data manifests that a task is evaluated on."""
    return {name: file for name, file in all_files().items() if not name.endswith("_train")}


def eval_data_of(spec: SourceSpec, files: Sequence[Path]) -> tuple[str, ...]:
    """Return the names of the evaluation data in a source; `files` are its local files."""
    if spec.task is not None:
        return (f"{spec.task}:{spec.split}",) if spec.split != "train" else ()
    pinned = evaluation_files()
    if spec.hub is not None and not Path(spec.hub).exists():
        return tuple(name for name, file in pinned.items() if _is_hub_split(spec, file))
    if spec.hub is not None:
        files = [path for path in Path(spec.hub).rglob("*") if path.is_file()]
    digests = {digest: name for name, file in pinned.items() for digest in file.sha256}
    sizes = {file.bytes for file in pinned.values()}  # files of other sizes need not be hashed
    names: dict[str, None] = {}  # an ordered set
    for path in files:
        parts = path.resolve().parts
        names.update(
            (name, None)
            for name, file in pinned.items()
            if parts[-len(Path(file.path).parts) :] == Path(file.path).parts
        )
        if path.stat().st_size in sizes and file_digest(path) in digests:
            names[digests[file_digest(path)]] = None
    return tuple(names)


def _is_hub_split(spec: SourceSpec, file: DataFile) -> bool:
    ids = (*file.elsewhere, *([file.hub.repo] if file.hub is not None else []))
    whole = {id_.removesuffix(ALL_SPLITS).casefold() for id_ in ids if id_.endswith(ALL_SPLITS)}
    listed = {id_.casefold() for id_ in ids}
    hub = str(spec.hub).casefold()
    return hub in whole or (hub in listed and not _only_train(spec.split))


def _only_train(split: str) -> bool:
    """Whether a split is of the train split only; it may be a slice or a sum: ``train[:10%]``, ``train+test``."""
    return all(part.split("[")[0] == "train" for part in split.split("+"))


def check_eval_data(spec: StageSpec, files: Mapping[str, Sequence[Path]]) -> dict[str, tuple[str, ...]]:
    """Return the names of the evaluation data in each source.

    Raises:
        InputError: a source holds evaluation data, and the stage file does not allow it.
    """
    held_out = _check_held_out(spec)
    eval_data = {name: eval_data_of(source, files.get(name, ())) for name, source in spec.data.sources.items()}
    for name, eval_names in eval_data.items():
        if eval_names and not spec.allow_eval_data:
            raise SpecError(
                f"data.sources.{name}: {spec.data.sources[name].location} is evaluation data of this project "
                f"({', '.join(eval_names)}); train on other data, or set allow_eval_data: true. Every "
                "record then says so."
            )
    return eval_data | held_out


def _check_held_out(spec: StageSpec) -> dict[str, tuple[str, ...]]:
    """Check the held-out sources, as ``evaluate.NAME``: a state that was chosen by evaluation data has seen it, too."""
    held_out = {}
    for name, source in spec.evaluate.sources.items() if spec.evaluate is not None else ():
        with held_out_source():
            files = find_files(name, source) if source.path is not None else []
        names = eval_data_of(source, files)
        if names and not spec.allow_eval_data:
            raise SpecError(
                f"evaluate.sources.{name}: {source.location} is evaluation data of this project ({', '.join(names)}); "
                "measure the loss on other data, or set allow_eval_data: true."
            )
        held_out[f"evaluate.{name}"] = names
    return held_out
