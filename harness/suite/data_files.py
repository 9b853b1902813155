"""Checks of a task's own data files before `datasets` reads them: its errors name no line, and it can crash."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from harness.errors import TaskError, one_line

MAX_LINE_BYTES = 1 << 26  # a longer line means another kind of file, which would be read whole


def check_data_files(task: Path, config: Mapping[str, Any]) -> None:
    """Check the JSON lines and Parquet files in a task's ``dataset_kwargs``; skip glob patterns and URLs.

    Args:
        task: The task's YAML file, for messages.
        config: Its fields.

    Raises:
        TaskError: a file cannot be read; the message names the file and, for JSON lines, the line.
    """
    kwargs = config.get("dataset_kwargs")
    files = kwargs.get("data_files") if isinstance(kwargs, dict) else None
    checks = {"json": _check_lines, "parquet": _check_parquet}
    kind = config.get("dataset_path")
    if not files or not isinstance(kind, str) or kind not in checks:
        return
    for path in _paths(files):
        if path.name.endswith((".jsonl", ".jsonl.gz", ".parquet")) and not any(mark in str(path) for mark in "*?:["):
            checks[kind](path, task)


def _paths(files: Any) -> Iterator[Path]:
    for group in files.values() if isinstance(files, dict) else [files]:
        yield from (Path(str(file)) for file in (group if isinstance(group, list) else [group]))


def _check_lines(path: Path, task: Path) -> None:
    number, rows = 1, 0
    try:
        with cast(BinaryIO, gzip.open(path) if path.suffix == ".gz" else path.open("rb")) as file:
            while line := file.readline(MAX_LINE_BYTES):
                if len(line) == MAX_LINE_BYTES:
                    raise TaskError(f"{path}, line {number}: is longer than 64 MiB; {task} needs one record per line.")
                row = json.loads(line)
                if b"\\ud" in line.lower():  # a lone surrogate is not a character
                    json.dumps(row, ensure_ascii=False).encode()
                if not isinstance(row, dict):
                    raise TaskError(f"{path}, line {number}: not a JSON object; {task} needs one per line.")
                number, rows = number + 1, rows + 1
    except (ValueError, RecursionError) as error:
        raise TaskError(
            f"{path}, line {number}: not JSON ({one_line(error, max_characters=160)}); correct this data file of "
            f"{task}."
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or one_line(error, max_characters=160)
        raise TaskError(f"{path}: cannot be read ({reason}); restore this data file of {task}.") from None
    if not rows:
        raise TaskError(f"{path}: is empty; add records to this data file of {task}.")


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
