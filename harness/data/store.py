"""Data files on this machine: where each lies, and checks of digest and number of records."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from harness.data.manifest import DataFile, MismatchError, find, load_manifest
from harness.digests import file_digest
from harness.errors import InputError, TaskError, one_line
from harness.paths import cache_dir, data_dir


def local_path(file: DataFile) -> Path | None:
    """Return where the file lies on this machine, data folder before cache, unchecked; None when it is not here.

    Raises:
        InputError: the data folder that was named does not exist.
    """
    folder = data_dir()
    if folder is not None and not folder.is_dir():
        raise InputError(f"data folder {folder}: no such folder; correct --data_dir or HARNESS_DATA, or unset it.")
    folders = [folder] if folder is not None else []
    return next((path for top in [*folders, cached_data()] if (path := top / file.path).is_file()), None)


def cached_data() -> Path:
    """Return the folder of fetched data."""
    return cache_dir() / "data"


def missing(names: Iterable[str], folder: Path) -> list[str]:
    """Return those of a task folder's data files that are neither in the data folder nor in the cache."""
    files = load_manifest(folder)
    return [name for name in names if local_path(file_to_read(name, files)[1]) is None]


def file_to_read(name: str, files: Mapping[str, DataFile]) -> tuple[str, DataFile]:
    """Return the file to read for `name`: itself, or the one that it is the beginning of where it is not here."""
    file = find(name, files)
    if file.first_of is None or local_path(file) is not None:
        return name, file
    return file.first_of, find(file.first_of, files)


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
        for where, record in parsed_records(file, path):
            if check is not None:
                check(path, where, record)
    except TaskError as fault:
        return f"; first fault: {str(fault).removeprefix(f'{path}, ')}"
    return ""


def check_count(name: str, file: DataFile, path: Path) -> None:
    """Count a file's records, for a file that no digest vouches for.

    Raises:
        MismatchError: another number than the manifest's.
    """
    require_count(name, file, path, sum(1 for _ in parsed_records(file, path)))


def require_count(name: str, file: DataFile, path: Path, count: int) -> None:
    if count != file.records:
        raise MismatchError(f"{path}: {count} records, {file.records} are pinned for {name}; replace the file.")


def parsed_records(file: DataFile, path: Path) -> Iterator[tuple[str, Any]]:
    """Yield ``(where, record)``; `where` is "line 12" or "record 12", counted from 1."""
    if file.format == "jsonl":
        yield from _json_lines(path)
    elif file.format == "json":
        whole = parse_json(path, decoded_text(path))
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
            raise TaskError(f"{path}: not a readable Parquet file ({one_line(error)}); replace the file.") from None
        yield from ((f"record {number}", dict(row)) for number, row in enumerate(rows, start=1))


def decoded_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: cannot be read to its end ({one_line(error)}); replace the file.") from None


def _json_lines(path: Path) -> Iterator[tuple[str, Any]]:
    opener = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rt", encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield f"line {number}", parse_json(path, line, line_number=number)
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TaskError(f"{path}: cannot be read to its end ({one_line(error)}); replace the file.") from None


def parse_json(path: Path, text: str, *, line_number: int | None = None) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        line = line_number if line_number is not None else error.lineno
        raise TaskError(f"{path}, line {line}: not JSON ({error.msg} at column {error.colno}).") from None
    except (ValueError, RecursionError) as error:  # a number of thousands of digits, brackets nested as deep
        where = f", line {line_number}" if line_number is not None else ""
        raise TaskError(f"{path}{where}: not JSON that can be read ({one_line(error)}).") from None
