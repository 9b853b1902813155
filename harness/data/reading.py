"""Where the data of a task comes from, and that it is the data that was meant.

A file is looked for in the data folder (`HARNESS_DATA`, files as upstream ships them), then in the cache, then fetched
from its pinned revision. Each is pinned by sha256 and number of records in a committed manifest, `data.yaml`, beside a
task folder or in the folder above. What differs is an error. This module knows no task and no prompt, and copies no
data into the project.
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
"""Field name -> the Python type (or types) its value must have."""


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
        from harness.data.fetching import fetch_file

        path = fetch_file(name, file, folders=[manifest_path(folder).parent])
    check_digest(name, file, path, check=check)
    return path


def read(name: str, folder: Path, *, fields: Fields | None = None) -> list[DataRecord]:
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


def read_items(
    name: str, folder: Path, make: Callable[[DataRecord], Made], *, fields: Fields | None = None
) -> list[Made]:
    """As `read`, each record made into an item; one of which none can be made is told by file and line (or record)."""

    def make_item(path: Path, where: str, record: Any) -> Made:
        check_fields(path, where, record, fields or {})
        try:
            return make(record)
        except (KeyError, ValueError, IndexError, TypeError, AttributeError, TaskError) as error:
            raise TaskError(
                f"{path}, {where}: no item can be made of it ({type(error).__name__}: {error}); correct the record."
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
    """Return a JSON data file whole, for the few that are not a list of alike records; digest checked."""
    path = locate(name, folder)
    return parse_json(path, decoded_text(path))


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
