"""`data.yaml`, the manifest of data files: its schema, finding and reading it.

files:
  gsm8k_test:
    path: gsm8k/test.jsonl
    sha256: [3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14]
    records: 1319
    format: jsonl
    licence: MIT
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.errors import MALFORMED, TaskError, did_you_mean, one_line
from harness.paths import tasks_dir
from harness.plain_yaml import check_yaml

MANIFEST_NAME = "data.yaml"


class MismatchError(TaskError):
    """A data file on this machine, or one that was fetched, is not the pinned file."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HubFile(_Strict):
    """A file of a data set on the Hugging Face hub.

    Attributes:
        repo: ``owner/name`` of the data set.
        revision: The full commit, 40 hexadecimal digits, because a branch can move.
        file: The path inside the repository.
    """

    repo: str
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    file: str


class DataFile(_Strict):
    """One file that a task needs.

    Attributes:
        path: Its path in the data folder and in the cache.
        sha256: Accepted digests; several if upstream ships the same records in more than one form, none if the digest
            is unknown. Without a digest, the pinned revision and `records` identify the file, and later copies must
            have the digest of the first fetched one.
        bytes: Its size, which rules out a different file without reading it.
        records: Number of records.
        format: The file format.
        records_at: For a JSON object: the key of the records; if absent, the values of the object are the records.
        licence: The licence that its owners state.
        url: A public address at a pinned commit or release.
        member: The file inside the archive, if `url` is a tar archive.
        hub: A file on the hub. Without `url`, `hub` and `first_of`, the user must put the file into the data folder.
        first_of: A larger file of the manifest, which begins with these records. It is read if this file is missing.
        elsewhere: Hub ids under which the same items are published. Splits called train are assumed to have none of
            them, unless the id ends in ``:*``.
        note: Notes for readers: origin, known errors.
    """

    path: str = Field(min_length=1)
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
    """Return the files in the manifest of a task folder: its own `data.yaml`, else the one in the folder above.

    Raises:
        TaskError: There is no manifest, or it has an invalid field; the message names file and field.
    """
    manifest = manifest_path(folder)
    return _read_manifest(manifest, manifest.stat().st_mtime_ns)


def manifest_path(folder: Path) -> Path:
    """Return the path of a task folder's manifest.

    Raises:
        TaskError: There is none.
    """
    for candidate in (folder / MANIFEST_NAME, folder.parent / MANIFEST_NAME):
        if candidate.is_file():
            return candidate
    raise TaskError(
        f"{folder}: no {MANIFEST_NAME} here or in the folder above; add one for the data files of the task."
    )


@lru_cache(maxsize=32)
def _read_manifest(path: Path, _changed: int) -> dict[str, DataFile]:
    try:
        text = path.read_text(encoding="utf-8")
        check_yaml(text, yaml.SafeLoader)
        return _Manifest.model_validate(yaml.safe_load(text)).files
    except ValidationError as error:
        fault = error.errors()[0]
        raise TaskError(f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}; correct it there.") from None
    except (OSError, yaml.YAMLError, *MALFORMED) as error:
        raise TaskError(
            f"{path}: cannot be read as YAML ({one_line(error, max_characters=200)}); correct it there."
        ) from None


def all_files(folders: Iterable[Path] | None = None) -> dict[str, DataFile]:
    """Return all data files in the manifests below `folders`, by default the project's own tasks.

    Raises:
        TaskError: Two manifests use the same name for different files.
    """
    files: dict[str, DataFile] = {}
    for folder in folders or [tasks_dir()]:
        for manifest in sorted(folder.rglob(MANIFEST_NAME)):
            for name, file in load_manifest(manifest.parent).items():
                if files.setdefault(name, file) != file:
                    raise TaskError(f"{manifest}: data file {name!r} is also in another manifest; rename one.")
    return files


def find(name: str, files: Mapping[str, DataFile]) -> DataFile:
    """Return the manifest's entry for `name`.

    Raises:
        TaskError: The name is unknown; the message suggests similar ones.
    """
    if name not in files:
        raise TaskError(f"data file {name!r}: not in any {MANIFEST_NAME}.{did_you_mean(name, files)}")
    return files[name]


def fetch_command(names: Iterable[str], folders: Iterable[Path] = ()) -> str:
    """Return the command line that fetches data files of the manifests in these folders."""
    requested = list(names)
    options = [
        f" --include_path {folder}"
        for folder in folders
        if not folder.resolve().is_relative_to(tasks_dir()) and all_files([folder]).keys() & set(requested)
    ]
    return f"harness tasks fetch {' '.join(requested)}{''.join(options)}"
