"""Read the data files of a task, after checking that they are the pinned files.

A file comes from the data folder (`HARNESS_DATA`, with files in upstream's layout), else from the cache, else it is
fetched from its pinned revision. A manifest, `data.yaml`, in the task folder or in the folder above, pins each file by
SHA-256 and number of records. A file that differs is an error. This module knows nothing about tasks and prompts.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from harness.data.manifest import find, load_manifest, manifest_path
from harness.data.store import (
    check_digest,
    decoded_text,
    file_to_read,
    local_path,
    parse_json,
    parsed_records,
    require_count,
)
from harness.errors import TaskError

DataRecord = dict[str, Any]
Made = TypeVar("Made")
Fields = Mapping[str, type | tuple[type, ...]]
"""Field name -> allowed Python type, or types, of its value."""


def locate(name: str, folder: Path, *, check: Callable[[Path, str, Any], object] | None = None) -> Path:
    """Return the path of a data file, after checking it; a file that is not on this machine is fetched.

    Args:
        name: The file's name in the manifest.
        folder: The task folder.
        check: Called with path, location (such as "line 12") and record, if the file is not the pinned one. Its
            TaskError tells the user which record is at fault.

    Raises:
        TaskError: The file is unavailable (the message has the command that fetches it), or is not the pinned one.
    """
    file = find(name, load_manifest(folder))
    path = local_path(file)
    if path is None:
        from harness.data.fetching import fetch_file

        path = fetch_file(name, file, folders=[manifest_path(folder).parent])
    check_digest(name, file, path, check=check)
    return path


def read(name: str, folder: Path, *, fields: Fields | None = None) -> list[DataRecord]:
    """Return the records of the data file `name`, checked against its manifest.

    Args:
        name: The file's name in the manifest.
        folder: The task folder.
        fields: Fields that every record must have, and their types.

    Raises:
        TaskError: The file is missing, is not the pinned one, has a different number of records, or a record lacks a
            field; the message names file, line (or record) and field.
    """
    return read_items(name, folder, lambda record: record, fields=fields)


def read_items(
    name: str, folder: Path, make: Callable[[DataRecord], Made], *, fields: Fields | None = None
) -> list[Made]:
    """Return `make(record)` for each record that `read` would return.

    Raises:
        TaskError: As in `read`; or `make` fails for a record: the message names file and line (or record).
    """

    def make_item(path: Path, where: str, record: Any) -> Made:
        check_fields(path, where, record, fields or {})
        try:
            return make(record)
        except (KeyError, ValueError, IndexError, TypeError, AttributeError, TaskError) as error:
            raise TaskError(
                f"{path}, {where}: cannot be converted to an item ({type(error).__name__}: {error}); "
                "correct the record."
            ) from None

    files = load_manifest(folder)
    file_name, file = file_to_read(name, files)
    path = locate(file_name, folder, check=make_item)
    pinned = find(name, files)
    records = itertools.islice(parsed_records(file, path), pinned.records if pinned is not file else None)
    items = [make_item(path, where, record) for where, record in records]
    require_count(name, pinned, path, len(items))
    return items


def read_json(name: str, folder: Path) -> Any:
    """Return the contents of a JSON data file that is not a list of similar records, after checking its digest."""
    path = locate(name, folder)
    return parse_json(path, decoded_text(path))


def check_fields(path: Path, where: str, record: Any, fields: Fields) -> None:
    """Check that a record has all `fields` with the right types.

    Raises:
        TaskError: Names file, location and field.
    """
    if fields and not isinstance(record, dict):
        raise TaskError(f"{path}, {where}: a {type(record).__name__}, must be an object with {', '.join(fields)}.")
    for field, kinds in fields.items():
        if field not in record:
            raise TaskError(f"{path}, {where}: field {field!r} is missing.")
        if not isinstance(record[field], kinds):
            allowed = " or ".join(k.__name__ for k in (kinds if isinstance(kinds, tuple) else (kinds,)))
            raise TaskError(f"{path}, {where}: field {field!r} is a {type(record[field]).__name__}, must be {allowed}.")
