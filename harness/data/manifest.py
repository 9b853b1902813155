"""`data.yaml`, the manifest of data files: its schema, how it is found and read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import TaskError, did_you_mean, one_line
from harness.paths import tasks_dir

MANIFEST_NAME = "data.yaml"


class MismatchError(TaskError):
    """A data file is here, or was fetched, and is not the one that was pinned."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HubFile(_Strict):
    """A file of a data set on the Hugging Face hub.

    Attributes:
        repo: ``owner/name`` of the data set.
        revision: The full commit, 40 hexadecimal digits: a branch can move.
        file: The path inside the repository.
    """

    repo: str
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    file: str


class DataFile(_Strict):
    """One file that a task needs.

    Attributes:
        path: Where it lies in the data folder and in the cache.
        sha256: Digests that are accepted, several when upstream ships the same records in more than one form; none
            when the digest could not be established: then the pinned revision and `records` vouch for it, and the
            first fetched copy's digest is held on to.
        bytes: Its size, so that another file need not be read to know that it is not this one.
        records: How many records it holds.
        format: How it is written.
        records_at: For a JSON object: the key whose value holds the records; the object's own values when absent.
        licence: As its owners state it.
        url: A public address at a pinned commit or release.
        member: Where `url` names a tar archive: the file inside it.
        hub: The same on the hub. Without `url`, `hub` and `first_of` the file must be put into the data folder.
        first_of: Another file of the manifest, whose first `records` records these are: where this one is not here,
            that one is read.
        elsewhere: Hub ids under which the same items are published; a split called train holds none of them, unless
            the id ends in ``:*``.
        note: What a reader should know: origin, what is known to be wrong in it.
    """

    path: str
    sha256: tuple[str, ...] = ()
    bytes: int | None = Field(default=None, gt=0)
    records: int = Field(gt=0)
    format: Literal["jsonl", "json", "parquet"]
    records_at: str | None = None
    licence: str
    url: str | None = None
    member: str | None = None
    hub: HubFile | None = None
    first_of: str | None = None
    elsewhere: tuple[str, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _relative(self) -> DataFile:
        if Path(self.path).is_absolute() or ".." in Path(self.path).parts:
            raise ValueError(f"path {self.path!r} must stay inside the data folder")
        if self.member is not None and self.url is None:
            raise ValueError("member names a file in the archive of url, which is missing")
        return self


class _Manifest(_Strict):
    files: dict[str, DataFile]


def load_manifest(folder: Path) -> dict[str, DataFile]:
    """Return the files named by the manifest of a task folder: its own `data.yaml`, else the one above.

    Raises:
        TaskError: there is none, or it has a wrong field; the message names file and field.
    """
    manifest = manifest_path(folder)
    return _read_manifest(manifest, manifest.stat().st_mtime_ns)


def manifest_path(folder: Path) -> Path:
    for candidate in (folder / MANIFEST_NAME, folder.parent / MANIFEST_NAME):
        if candidate.is_file():
            return candidate
    raise TaskError(f"{folder}: no {MANIFEST_NAME} here or in the folder above; a task with data files needs one.")


@lru_cache(maxsize=32)
def _read_manifest(path: Path, _changed: int) -> dict[str, DataFile]:
    try:
        return _Manifest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).files
    except yaml.YAMLError as error:
        raise TaskError(f"{path}: not valid YAML ({one_line(error)}); correct it there.") from None
    except ValidationError as error:
        fault = error.errors()[0]
        raise TaskError(f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}; correct it there.") from None


def all_files(folders: Iterable[Path] | None = None) -> dict[str, DataFile]:
    """Return every data file that any manifest below `folders` names (by default the project's own tasks).

    Raises:
        TaskError: two manifests give one name to different files.
    """
    files: dict[str, DataFile] = {}
    for folder in folders or [tasks_dir()]:
        for manifest in sorted(folder.rglob(MANIFEST_NAME)):
            for name, file in load_manifest(manifest.parent).items():
                if files.setdefault(name, file) != file:
                    raise TaskError(f"{manifest}: data file {name!r} is also named by another manifest; rename one.")
    return files


def find(name: str, files: Mapping[str, DataFile]) -> DataFile:
    """Return the manifest's entry for `name`.

    Raises:
        TaskError: unknown name, with the nearest ones.
    """
    if name not in files:
        raise TaskError(f"data file {name!r}: not in any {MANIFEST_NAME}.{did_you_mean(name, files)}")
    return files[name]


def fetch_command(names: Iterable[str], folders: Iterable[Path] = ()) -> str:
    """Return the command that fetches data files named by the manifests of these folders, as a user types it."""
    requested = list(names)
    options = [
        f" --include_path {folder}"
        for folder in folders
        if not folder.resolve().is_relative_to(tasks_dir()) and all_files([folder]).keys() & set(requested)
    ]
    return f"harness tasks fetch {' '.join(requested)}{''.join(options)}"
