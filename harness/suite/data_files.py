"""Checks of a task's own data files before `datasets` reads them: its errors name no line, and it can crash."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from harness.data import json_text
from harness.data.json_text import MAX_LINE_BYTES
from harness.errors import TaskError, one_line


def check_data_files(task: Path, config: Mapping[str, Any]) -> None:
    """Check the JSON lines and Parquet files in a task's ``dataset_kwargs``; skip glob patterns and URLs.

    Args:
        task: The task's YAML file, for messages.
        config: Its fields.

    Raises:
        TaskError: a file cannot be read; the message names the file and, for JSON lines, the line.
    """
    kwargs = config.get("dataset_kwargs")
    kwargs = kwargs if isinstance(kwargs, dict) else {}
    files = kwargs.get("data_files")
    checks = {"json": _check_lines, "parquet": _check_parquet}
    kind = config.get("dataset_path")
    if not files or not isinstance(kind, str) or kind not in checks or "data_dir" in kwargs:
        return
    for path in _paths(files):
        if path.name.endswith((".jsonl", ".jsonl.gz", ".parquet")) and not any(mark in str(path) for mark in "*?:["):
            checks[kind](path, task)


def _paths(files: Any) -> Iterator[Path]:
    for group in files.values() if isinstance(files, dict) else [files]:
        yield from (Path(str(file)) for file in (group if isinstance(group, list) else [group]))


def _check_lines(path: Path, task: Path) -> None:
    number = rows = 0
    try:
        with cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as file:
            while line := file.readline(MAX_LINE_BYTES):
                number += 1
                if len(line) == MAX_LINE_BYTES:
                    raise TaskError(f"{path}, line {number}: is longer than 64 MiB; {task} needs one record per line.")
                if not json_text.is_blank(line):
                    rows += 1
                    if not isinstance(json_text.parsed(line), dict):
                        raise ValueError("not a JSON object; one is needed per line")
    except (ValueError, RecursionError) as error:
        if _is_one_list(path):  # `datasets` reads these too, whatever their name
            return
        reason = json_text.reason(error)
        raise TaskError(f"{path}, line {number}: not JSON ({reason}); correct this data file of {task}.") from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or one_line(error, max_characters=160)
        raise TaskError(f"{path}: cannot be read ({reason}); restore this data file of {task}.") from None
    if not rows:
        raise TaskError(f"{path}: is empty; add records to this data file of {task}.")


def _is_one_list(path: Path) -> bool:
    """Whether the whole file is a JSON list of objects, or one object written over several lines."""
    if path.suffix == ".gz" or path.stat().st_size > MAX_LINE_BYTES:
        return False
    try:
        value = json_text.parsed(path.read_bytes())
    except (ValueError, RecursionError):
        return False
    rows = value if isinstance(value, list) else [value]
    return bool(rows) and all(isinstance(row, dict) for row in rows)


def _check_parquet(path: Path, task: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(batch_size=256):
            batch.validate(full=True)
    except (pa.ArrowException, OSError) as error:
        raise TaskError(
            f"{path}: is not a complete Parquet file ({one_line(error, max_characters=160)}); restore this data "
            f"file of {task}."
        ) from None
