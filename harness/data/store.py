"""Data files on this machine: their paths, checks of digest and number of records, and parsing."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.data.manifest import DataFile, MismatchError, find, load_manifest
from harness.digests import file_digest
from harness.errors import InputError, TaskError, one_line
from harness.paths import cache_dir, data_dir


def local_path(file: DataFile) -> Path | None:
    """Return the file's path in the data folder, else in the cache, unchecked; None if it is in neither.

    Raises:
        InputError: The data folder does not exist.
    """
    folder = data_dir()
    if folder is not None and not folder.is_dir():
        raise InputError(f"data folder {folder}: no such folder; correct or remove --data_dir or HARNESS_DATA.")
    folders = [folder] if folder is not None else []
    return next((path for top in [*folders, cached_data()] if (path := top / file.path).is_file()), None)


def cached_data() -> Path:
    """Return the cache's folder of fetched data."""
    return cache_dir() / "data"


def missing(names: Iterable[str], folder: Path) -> list[str]:
    """Return the names of data files that are neither in the data folder nor in the cache."""
    files = load_manifest(folder)
    return [name for name in names if local_path(file_to_read(name, files)[1]) is None]


def file_to_read(name: str, files: Mapping[str, DataFile]) -> tuple[str, DataFile]:
    """Return name and entry of the file to read for `name`: itself, otherwise the larger file it is a prefix of."""
    file = find(name, files)
    if file.first_of is None or local_path(file) is not None:
        return name, file
    return file.first_of, find(file.first_of, files)


def check_digest(
    name: str, file: DataFile, path: Path, *, check: Callable[[Path, str, Any], object] | None = None
) -> None:
    """Compare a file's SHA-256 with the pinned ones; without a pinned one, with that of the first fetched copy.

    Raises:
        TaskError: It differs; the message names the first invalid record, if there is one.
    """
    accepted = file.sha256
    first_fetched = path.with_name(path.name + ".sha256")
    if not accepted and first_fetched.is_file():
        accepted = (first_fetched.read_text(encoding="utf-8").strip(),)
    digest = file_digest(path)
    if accepted and digest not in accepted:
        raise MismatchError(
            f"{path}: sha256 {digest} is not the one pinned for {name} ({' or '.join(accepted)})"
            f"{_first_fault(file, path, check)}. Replace it with upstream's file, or remove it and run "
            f"`harness tasks fetch {name}`."
        )


def _first_fault(file: DataFile, path: Path, check: Callable[[Path, str, Any], object] | None) -> str:
    try:
        for where, record in parsed_records(file, path):
            if check is not None:
                check(path, where, record)
    except TaskError as fault:
        return f"; first error: {str(fault).removeprefix(f'{path}, ')}"
    return ""


def check_count(name: str, file: DataFile, path: Path) -> None:
    """Count the records of a file without a pinned digest.

    Raises:
        MismatchError: The count differs from the manifest's.
    """
    require_count(name, file, path, sum(1 for _ in parsed_records(file, path)))


def require_count(name: str, file: DataFile, path: Path, count: int) -> None:
    """Raise a MismatchError if `count` differs from the manifest's number of records."""
    if count != file.records:
        raise MismatchError(f"{path}: {count} records, {file.records} are pinned for {name}; replace the file.")


def parsed_records(file: DataFile, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield ``(location, record)``; the location is "line 12" or "record 12", counted from 1."""
    if file.format == "jsonl":
        yield from _json_lines(path)
    elif file.format == "json":
        whole = parse_json(path, decoded_text(path))
        inner = whole.get(file.records_at) if file.records_at and isinstance(whole, dict) else whole
        if not isinstance(inner, list | dict):
            raise TaskError(f"{path}, record 1: field {file.records_at!r} is missing or has no records.")
        values = inner.values() if isinstance(inner, dict) else inner
        yield from ((f"record {number}", record) for number, record in enumerate(values, start=1))
    else:
        import pandas as pd

        try:
            rows = pd.read_parquet(path).to_dict("records")
        except (OSError, ValueError) as error:  # pyarrow's own errors are ValueErrors
            raise TaskError(f"{path}: not a valid Parquet file ({one_line(error)}); replace the file.") from None
        yield from ((f"record {number}", dict(row)) for number, row in enumerate(rows, start=1))


def decoded_text(path: Path) -> str:
    """Return a UTF-8 file's text; raise a TaskError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: cannot be read completely ({one_line(error)}); replace the file.") from None


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"line {number}", parse_json(path, line, line_number=number)
    except (OSError, EOFError, UnicodeDecodeError, zlib.error) as error:
        raise TaskError(f"{path}: cannot be read completely ({one_line(error)}); replace the file.") from None


def parse_json(path: Path, text: str, *, line_number: int | None = None) -> Any:
    """Return parsed JSON; raise a TaskError that names file and line if it is invalid."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = line_number if line_number is not None else error.lineno
        raise TaskError(f"{path}, line {line}: not JSON ({error.msg} at column {error.colno}).") from None
    except (ValueError, RecursionError) as error:  # thousands of digits in a number, or of nested brackets
        where = f", line {line_number}" if line_number is not None else ""
        raise TaskError(f"{path}{where}: JSON that cannot be read ({one_line(error)}).") from None
