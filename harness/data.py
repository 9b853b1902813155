"""Where the data of a task comes from, and that it is the data that was meant.

A file is looked for in the data folder (`HARNESS_DATA`, files as upstream ships them), then in the cache, then fetched
from its pinned revision. Each is pinned by sha256 and number of records in a committed manifest, `data.yaml`, beside a
task folder or in the folder above. What differs is an error. This module knows no task and no prompt, and copies no
data into the project.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from harness.digests import file_digest
from harness.errors import InputError, TaskError, did_you_mean
from harness.paths import cache_dir, data_dir, tasks_dir

MANIFEST_NAME = "data.yaml"
Record = dict[str, Any]
Item = TypeVar("Item")
Fields = Mapping[str, type | tuple[type, ...]]
"""Field name -> the Python type (or types) its value must have."""


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
    manifest = _manifest_path(folder)
    return _read_manifest(manifest, manifest.stat().st_mtime_ns)


def _manifest_path(folder: Path) -> Path:
    for candidate in (folder / MANIFEST_NAME, folder.parent / MANIFEST_NAME):
        if candidate.is_file():
            return candidate
    raise TaskError(f"{folder}: no {MANIFEST_NAME} here or in the folder above; a task with data files needs one.")


@lru_cache(maxsize=32)
def _read_manifest(path: Path, _changed: int) -> dict[str, DataFile]:
    try:
        return _Manifest.model_validate(yaml.safe_load(path.read_text(encoding="utf-8"))).files
    except yaml.YAMLError as error:
        raise TaskError(f"{path}: not valid YAML ({' '.join(str(error).split())}); correct it there.") from None
    except ValidationError as error:
        fault = error.errors()[0]
        raise TaskError(f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}; correct it there.") from None


def all_files(folders: Iterable[Path] | None = None) -> dict[str, DataFile]:
    """Return every data file that any manifest below `folders` names (by default the project's own tasks).

    Raises:
        TaskError: two manifests give one name to different files.
    """
    found: dict[str, DataFile] = {}
    for folder in folders or [tasks_dir()]:
        for manifest in sorted(folder.rglob(MANIFEST_NAME)):
            for name, file in load_manifest(manifest.parent).items():
                if found.setdefault(name, file) != file:
                    raise TaskError(f"{manifest}: data file {name!r} is also named by another manifest; rename one.")
    return found


def find(name: str, files: Mapping[str, DataFile]) -> DataFile:
    """Return the manifest's entry for `name`.

    Raises:
        TaskError: unknown name, with the nearest ones.
    """
    if name not in files:
        raise TaskError(f"data file {name!r}: not in any {MANIFEST_NAME}.{did_you_mean(name, files)}")
    return files[name]


def local_path(file: DataFile) -> Path | None:
    """Return where the file lies on this machine, data folder before cache, unchecked; None when it is not here.

    Raises:
        InputError: the data folder that was named does not exist.
    """
    chosen = data_dir()
    if chosen is not None and not chosen.is_dir():
        raise InputError(f"data folder {chosen}: no such folder; correct --data_dir or HARNESS_DATA, or unset it.")
    places = [chosen] if chosen is not None else []
    return next((p for place in [*places, cached_data()] if (p := place / file.path).is_file()), None)


def cached_data() -> Path:
    """Return the folder of fetched data."""
    return cache_dir() / "data"


def missing(names: Iterable[str], folder: Path) -> list[str]:
    """Return those of a task folder's data files that are neither in the data folder nor in the cache."""
    files = load_manifest(folder)
    return [name for name in names if local_path(stand_in(name, files)[1]) is None]


def stand_in(name: str, files: Mapping[str, DataFile]) -> tuple[str, DataFile]:
    """Return the file to read for `name`: itself, or the one that it is the beginning of where it is not here."""
    file = find(name, files)
    if file.first_of is None or local_path(file) is not None:
        return name, file
    return file.first_of, find(file.first_of, files)


def locate(name: str, folder: Path, *, check: Callable[[Path, str, Any], object] | None = None) -> Path:
    """Return the checked file `name` of a task folder's manifest, fetching it when it is not here.

    Args:
        name: The manifest's name of the file.
        folder: The task folder.
        check: Called with the path, the place and the record; what it raises points at the fault in a file that is not
            what was pinned.

    Raises:
        TaskError: it cannot be had, with the command that gets it; or it is not the pinned file.
    """
    file = find(name, load_manifest(folder))
    path = local_path(file)
    if path is None:
        from harness.data_fetch import fetch_file

        path = fetch_file(name, file, folders=[_manifest_path(folder).parent])
    check_digest(name, file, path, check=check)
    return path


def fetch_command(names: Iterable[str], folders: Iterable[Path] = ()) -> str:
    """Return the command that fetches data files named by the manifests of these folders, as a user types it."""
    wanted = list(names)
    brought = [
        f" --include_path {folder}"
        for folder in folders
        if not folder.resolve().is_relative_to(tasks_dir()) and all_files([folder]).keys() & set(wanted)
    ]
    return f"harness tasks fetch {' '.join(wanted)}{''.join(brought)}"


def check_digest(
    name: str, file: DataFile, path: Path, *, check: Callable[[Path, str, Any], object] | None = None
) -> None:
    """Compare a file's sha256 with the pinned ones, or with that of the first fetched copy.

    Raises:
        TaskError: it differs; the message points at the first record that cannot be read, when there is one.
    """
    accepted = file.sha256
    first_fetched = path.with_name(path.name + ".sha256")
    if not accepted and first_fetched.is_file():
        accepted = (first_fetched.read_text(encoding="utf-8").strip(),)
    digest = file_digest(path)
    if accepted and digest not in accepted:
        raise MismatchError(
            f"{path}: sha256 {digest} is not the one pinned for {name} ({' or '.join(accepted)})"
            f"{_first_fault(file, path, check)}. Put upstream's file there, or remove it and run "
            f"`harness tasks fetch {name}`."
        )


def _first_fault(file: DataFile, path: Path, check: Callable[[Path, str, Any], object] | None) -> str:
    try:
        for where, record in _records(file, path):
            if check is not None:
                check(path, where, record)
    except TaskError as fault:
        return f"; first fault: {str(fault).removeprefix(f'{path}, ')}"
    return ""


def read(name: str, folder: Path, *, fields: Fields | None = None) -> list[Record]:
    """Return the records of the data file `name`, checked against its manifest.

    Args:
        name: The manifest's name of the file.
        folder: The task folder.
        fields: Fields every record must hold, and their types.

    Raises:
        TaskError: missing, not the pinned file, another number of records, or a record without a field; the message
            gives file, line (or record) and field.
    """
    return read_items(name, folder, lambda record: record, fields=fields)


def read_items(name: str, folder: Path, make: Callable[[Record], Item], *, fields: Fields | None = None) -> list[Item]:
    """As `read`, each record made into an item; one of which none can be made is told by file and line (or record)."""

    def item(path: Path, where: str, record: Any) -> Item:
        check_fields(path, where, record, fields or {})
        try:
            return make(record)
        except (KeyError, ValueError, IndexError, TypeError, AttributeError, TaskError) as error:
            raise TaskError(
                f"{path}, {where}: no item can be made of it ({type(error).__name__}: {error}); correct the record."
            ) from None

    files = load_manifest(folder)
    held, file = stand_in(name, files)
    path = locate(held, folder, check=item)
    wanted = find(name, files)
    records = itertools.islice(_records(file, path), wanted.records if wanted is not file else None)
    items = [item(path, where, record) for where, record in records]
    _check_count(name, wanted, path, len(items))
    return items


def check_count(name: str, file: DataFile, path: Path) -> None:
    """Count a file's records, for a file that no digest vouches for.

    Raises:
        MismatchError: another number than the manifest's.
    """
    _check_count(name, file, path, sum(1 for _ in _records(file, path)))


def _check_count(name: str, file: DataFile, path: Path, count: int) -> None:
    if count != file.records:
        raise MismatchError(f"{path}: {count} records, {file.records} are pinned for {name}; replace the file.")


def read_json(name: str, folder: Path) -> Any:
    """Return a JSON data file whole, for the few that are not a list of alike records; digest checked."""
    path = locate(name, folder)
    return _parse_json(path, _text(path))


def check_fields(path: Path, where: str, record: Any, fields: Fields) -> None:
    """Raise a TaskError that names file, place and field when a record lacks one of `fields` or has another type."""
    if fields and not isinstance(record, dict):
        raise TaskError(f"{path}, {where}: a {type(record).__name__}, must be an object with {', '.join(fields)}.")
    for field, kinds in fields.items():
        if field not in record:
            raise TaskError(f"{path}, {where}: field {field!r} is missing.")
        if not isinstance(record[field], kinds):
            allowed = " or ".join(k.__name__ for k in (kinds if isinstance(kinds, tuple) else (kinds,)))
            raise TaskError(f"{path}, {where}: field {field!r} is a {type(record[field]).__name__}, must be {allowed}.")


def _records(file: DataFile, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield ``(where, record)``; `where` is "line 12" or "record 12", counted from 1."""
    if file.format == "jsonl":
        yield from _json_lines(path)
    elif file.format == "json":
        whole = _parse_json(path, _text(path))
        inner = whole.get(file.records_at) if file.records_at and isinstance(whole, dict) else whole
        if not isinstance(inner, list | dict):
            raise TaskError(f"{path}, record 1: field {file.records_at!r} is missing or holds no records.")
        values = inner.values() if isinstance(inner, dict) else inner
        yield from ((f"record {number}", record) for number, record in enumerate(values, start=1))
    else:
        import pandas as pd

        try:
            rows = pd.read_parquet(path).to_dict("records")
        except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
            raise TaskError(f"{path}: not a readable Parquet file ({_line(error)}); replace the file.") from None
        yield from ((f"record {number}", dict(row)) for number, row in enumerate(rows, start=1))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: cannot be read to its end ({_line(error)}); replace the file.") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"line {number}", _parse_json(path, line, line_number=number)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: cannot be read to its end ({_line(error)}); replace the file.") from None


def _parse_json(path: Path, text: str, *, line_number: int | None = None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = line_number if line_number is not None else error.lineno
        raise TaskError(f"{path}, line {line}: not JSON ({error.msg} at column {error.colno}).") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets nested as deep
        where = f", line {line_number}" if line_number is not None else ""
        raise TaskError(f"{path}{where}: not JSON that can be read ({_line(error)}).") from None
