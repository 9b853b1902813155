"""Read raw records from files, a hub data set or a generator of this project, from any place and never whole.

A reader keeps no place of its own: `read(cursor)` starts where a cursor says and gives with every record the cursor
after it. That is what lets a stage go on at the exact record after a kill. What a record means is `records.py`'s.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, Protocol, cast

from harness.errors import InputError, first_line

PIECE_BYTES = 1 << 16  # a longer text is read in pieces, so that one file of any size never lies in memory
LINE_BYTES = 1 << 26  # a longer line is no record: a file of another kind would be read whole
WHOLE_JSON_BYTES = 1 << 29  # a JSON list cannot be entered in its middle, so it is read whole


class Cursor(NamedTuple):
    """A place in a source.

    Attributes:
        file: Index of the file.
        position: In the file: bytes for lines and text, records for other kinds.
        record: Records passed in this file, for messages.
    """

    file: int = 0
    position: int = 0
    record: int = 0


class Raw(NamedTuple):
    """A record as its file has it.

    Attributes:
        value: What was parsed, usually a mapping of fields.
        where: File and line or record, for messages.
        after: The cursor of the next record.
    """

    value: Any
    where: str
    after: Cursor


class Reader(Protocol):
    """Reads records from a cursor to the end of the source."""

    def read(self, cursor: Cursor) -> Iterator[Raw]:
        """Yield the records from `cursor` on."""

    @property
    def files(self) -> Sequence[Path]:
        """The files that are read; empty when there are none on this machine."""


@dataclass(frozen=True, kw_only=True)
class FileReader:
    """Reads a list of files one after the other.

    Attributes:
        files: In order.
        read_file: ``(path, cursor) -> raw records`` of one file.
    """

    files: Sequence[Path]
    read_file: Callable[[Path, Cursor], Iterator[Raw]]

    def read(self, cursor: Cursor) -> Iterator[Raw]:
        """Yield the records from `cursor` on."""
        for index in range(cursor.file, len(self.files)):
            start = cursor if index == cursor.file else Cursor(index)
            yield from self.read_file(self.files[index], start)


def json_lines(path: Path, cursor: Cursor) -> Iterator[Raw]:
    """Read JSONL, gzipped or not; empty lines count as lines and hold no record."""
    opener = gzip.open if path.suffix == ".gz" else open
    with cast(BinaryIO, opener(path, "rb")) as file:
        file.seek(cursor.position)
        line_number = cursor.record
        while line := file.readline(LINE_BYTES):
            line_number += 1
            where = f"{path}, line {line_number}"
            if len(line) == LINE_BYTES:
                raise InputError(f"{where}: longer than 64 MiB; JSONL has one record a line.")
            if line.strip():
                yield Raw(_parsed(line, where), where, Cursor(cursor.file, file.tell(), line_number))


def _parsed(text: bytes, where: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "not UTF-8"
        raise InputError(f"{where}: not JSON ({reason}); correct or remove the line.") from None


def json_list(path: Path, cursor: Cursor) -> Iterator[Raw]:
    """Read a JSON file that holds a list of records."""
    records = _whole_json(path, path.stat().st_mtime_ns)
    for number in range(cursor.position, len(records)):
        yield Raw(records[number], f"{path}, record {number + 1}", Cursor(cursor.file, number + 1, number + 1))


@lru_cache(maxsize=8)
def _whole_json(path: Path, _changed: int) -> list[Any]:
    if path.stat().st_size > WHOLE_JSON_BYTES:
        raise InputError(f"{path}: a JSON list of more than 512 MiB cannot be streamed; convert it to JSONL.")
    try:
        value = json.loads(path.read_bytes())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise InputError(f"{path}, line {line}: not JSON; give a JSON list of records, or JSONL as .jsonl.") from None
    if not isinstance(value, list):
        raise InputError(f"{path}, line 1: holds a {type(value).__name__}, must be a list of records.")
    return value


def parquet(path: Path, cursor: Cursor) -> Iterator[Raw]:
    """Read a Parquet file, some rows at a time."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise InputError(f"{path}: not a whole Parquet file ({first_line(error)}); copy it again.") from None
    first_of_group = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        if first_of_group + rows > cursor.position:
            number = first_of_group
            for batch in file.iter_batches(batch_size=256, row_groups=[group]):
                for row in batch.to_pylist() if number + len(batch) > cursor.position else [None] * len(batch):
                    number += 1
                    if number > cursor.position:
                        yield Raw(row, f"{path}, record {number}", Cursor(cursor.file, number, number))
        first_of_group += rows


def text_file(path: Path, cursor: Cursor) -> Iterator[Raw]:
    """Read a text as one document, in pieces that end at a line's end where that is possible.

    A record is ``{"text": str, "begins": bool, "ends": bool}``: whether the document begins and ends with this piece.
    """
    size = path.stat().st_size
    position, number = cursor.position, cursor.record
    with path.open("rb") as file:
        while position < size:
            file.seek(position)
            piece = file.read(PIECE_BYTES)
            begins, ends = position == 0, position + len(piece) >= size
            if not ends:
                piece = _whole_lines(piece)
            position, number = position + len(piece), number + 1
            where = f"{path}, piece {number}"
            value = {"text": _decoded(piece, where), "begins": begins, "ends": ends}
            yield Raw(value, where, Cursor(cursor.file, position, number))


def _whole_lines(piece: bytes) -> bytes:
    cut = piece.rfind(b"\n") + 1
    if cut == 0:  # no line end: cut before the last byte that begins a character
        ends = range(len(piece) - 4, len(piece))
        cut = max((index for index in ends if piece[index] & 0xC0 != 0x80), default=len(piece))
    return piece[:cut]


def _decoded(piece: bytes, where: str) -> str:
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 ({error.reason}); convert or remove the file.") from None
