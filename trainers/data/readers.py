"""Read raw records from files, starting at any position, without loading a file whole.

A reader keeps no state: `read(cursor)` starts at a cursor and returns with every record the cursor after it. That lets
a stage resume at the exact record after a kill. `formats` says what a raw record means; data sets on the hub and
generated tasks have readers in `hub_reader` and `task_reader`.

    reader = FileReader(files=[Path("train.jsonl")], read_file=json_lines)
    first, second = itertools.islice(reader.read(Cursor()), 2)
    first.value, first.where        # {"instruction": ...}, "train.jsonl, line 1"
    next(reader.read(first.after)) == second
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, Protocol, cast

from harness.data import json_text
from harness.data.json_text import MAX_LINE_BYTES
from harness.errors import InputError, first_line

if TYPE_CHECKING:
    import pyarrow.parquet as pq

PIECE_BYTES = 1 << 16  # longer texts are read in pieces, so that a file of any size fits in memory
MAX_JSON_BYTES = 1 << 29  # a JSON list cannot be entered in its middle, so it is read whole


class Cursor(NamedTuple):
    """A position between two raw records.

    Attributes:
        file: Index of the file.
        offset: In the file: bytes for lines and text, records for other kinds.
        record: Records before it in this file, for messages.
    """

    file: int = 0
    offset: int = 0
    record: int = 0


class RawRecord(NamedTuple):
    """A record as its file holds it.

    Attributes:
        value: The parsed value, usually a mapping of fields.
        where: File and line or record, for messages.
        after: The cursor of the next record.
    """

    value: Any
    where: str
    after: Cursor


class BadRecord(NamedTuple):
    """The value of a record that cannot be parsed; what reads it raises an error, or skips it.

    Attributes:
        problem: What is wrong, with file and line.
    """

    problem: str


class Reader(Protocol):
    """Reads records from a cursor to the end of the source."""

    def read(self, cursor: Cursor) -> Iterator[RawRecord]:
        """Yield the records from `cursor` on."""

    @property
    def files(self) -> Sequence[Path]:
        """The local files that are read; empty when there are none."""


@dataclass(frozen=True, kw_only=True)
class FileReader:
    """Reads files one after the other.

    Attributes:
        files: In order.
        read_file: ``(path, cursor) -> raw records`` of one file.
    """

    files: Sequence[Path]
    read_file: Callable[[Path, Cursor], Iterator[RawRecord]]

    def read(self, cursor: Cursor) -> Iterator[RawRecord]:
        """Yield the records from `cursor` on."""
        for index in range(cursor.file, len(self.files)):
            start = cursor if index == cursor.file else Cursor(index)
            yield from self.read_file(self.files[index], start)


def json_lines(path: Path, cursor: Cursor) -> Iterator[RawRecord]:
    """Read JSONL, plain or compressed (.gz, .zst); an empty line counts as a line but holds no record."""
    with _opened(path) as file:
        _enter(file, cursor.offset)
        offset, line_number = cursor.offset, cursor.record
        while line := _next_line(file, path, line_number + 1):
            offset, line_number = offset + len(line), line_number + 1
            where = f"{path}, line {line_number}"
            if len(line) == MAX_LINE_BYTES:
                raise InputError(f"{where}: is longer than 64 MiB; write one JSON record per line.")
            if not json_text.is_blank(line):
                yield RawRecord(_parsed(line, where), where, Cursor(cursor.file, offset, line_number))


def _opened(path: Path) -> BinaryIO:
    if path.suffix == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    if path.suffix == ".zst":
        import pyarrow as pa

        return cast(BinaryIO, io.BufferedReader(pa.input_stream(str(path), compression="zstd")))
    return path.open("rb")


def _enter(file: BinaryIO, offset: int) -> None:
    """Go to a byte of the text; a stream that cannot be entered there is read up to it."""
    if file.seekable():
        file.seek(offset)
        return
    while offset > 0 and (skipped := len(file.read(min(offset, PIECE_BYTES)))):
        offset -= skipped


def table(path: Path, cursor: Cursor, *, columns: Sequence[str] = ()) -> Iterator[RawRecord]:
    """Read a table of text, separated by commas (.csv) or tabs (.tsv); without `columns` the first row names them."""
    # A quoted field may hold line ends, so a table can only be entered at its beginning.
    csv.field_size_limit(MAX_LINE_BYTES)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",", strict=True)
        try:
            names = list(columns) or next(rows, [])
            twice = [column for column, count in Counter(names).items() if count > 1]
            if twice:
                raise InputError(
                    f"{path}: has the column {twice[0]!r} twice; rename one of them, or give the source's columns."
                )
            for number, row in enumerate(rows, start=1):
                if number > cursor.offset and row:
                    where = f"{path}, row {number}"
                    yield RawRecord(_named(row, names, where), where, Cursor(cursor.file, number, number))
        except (csv.Error, UnicodeDecodeError) as error:
            reason = first_line(error, max_characters=160)
            raise InputError(
                f"{path}, line {rows.line_num + 1}: cannot be read ({reason}); correct the file."
            ) from None


def _named(row: list[str], names: list[str], where: str) -> dict[str, str] | BadRecord:
    if len(row) != len(names):
        return BadRecord(
            f"{where}: has {len(row)} fields instead of {len(names)} ({', '.join(names)}); correct the row, or name "
            "them under the source's columns."
        )
    return dict(zip(names, (text.replace("\r\n", "\n") for text in row), strict=True))


def _next_line(file: BinaryIO, path: Path, number: int) -> bytes:
    try:
        return file.readline(MAX_LINE_BYTES)
    except (OSError, EOFError, zlib.error) as error:  # a gzip file that is truncated or damaged, or not gzip at all
        raise InputError(
            f"{path}, line {number}: cannot be read ({first_line(error, max_characters=160)}); copy the file again."
        ) from None


def _parsed(text: bytes, where: str) -> Any:
    try:
        return json_text.parsed(text)
    except (ValueError, RecursionError) as error:
        return BadRecord(f"{where}: not JSON ({json_text.reason(error)}); correct or remove the line.")


def json_list(path: Path, cursor: Cursor) -> Iterator[RawRecord]:
    """Read a JSON file that holds a list of records."""
    records = _whole_json(path, path.stat().st_mtime_ns)
    for number in range(cursor.offset, len(records)):
        yield RawRecord(records[number], f"{path}, record {number + 1}", Cursor(cursor.file, number + 1, number + 1))


@lru_cache(maxsize=8)
def _whole_json(path: Path, _modified: int) -> list[Any]:
    """Parse the file; its modification time is part of the cache key, so that a changed file is read again."""
    if path.stat().st_size > MAX_JSON_BYTES:
        raise InputError(f"{path}: a JSON list of more than 512 MiB cannot be streamed; convert it to JSONL.")
    try:
        value = json_text.parsed(path.read_bytes())
    except (ValueError, RecursionError) as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        raise InputError(
            f"{path}, line {line}: not JSON ({json_text.reason(error)}); give a JSON list of records, or JSONL as "
            ".jsonl."
        ) from None
    if not isinstance(value, list):
        raise InputError(f"{path}, line 1: holds a {type(value).__name__}; it must hold a list of records.")
    return value


def parquet(path: Path, cursor: Cursor) -> Iterator[RawRecord]:
    """Read a Parquet file in batches of rows."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        yield from _parquet_rows(path, cursor, pq.ParquetFile(path))
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = first_line(error, max_characters=160)
        raise InputError(f"{path}: is not a complete Parquet file ({reason}); copy it again.") from None


def _parquet_rows(path: Path, cursor: Cursor, file: pq.ParquetFile) -> Iterator[RawRecord]:
    group_start = 0
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        # Row groups before the cursor are skipped by their row counts, without being decoded; so are whole batches.
        if group_start + rows > cursor.offset:
            number = group_start
            for batch in file.iter_batches(batch_size=256, row_groups=[group]):
                for row in batch.to_pylist() if number + len(batch) > cursor.offset else [None] * len(batch):
                    number += 1
                    if number > cursor.offset:
                        yield RawRecord(row, f"{path}, record {number}", Cursor(cursor.file, number, number))
        group_start += rows


def text_file(path: Path, cursor: Cursor) -> Iterator[RawRecord]:
    """Read a text file as one document, in pieces that end at a line's end where possible.

    A record is ``{"text": str, "begins": bool, "ends": bool}``: whether the document begins and ends with this piece.
    """
    # A file of 150 KB gives three records, of which only the last gets an end-of-sequence token:
    #   {"text": ..., "begins": True, "ends": False}   {..., False, False}   {..., False, True}
    size = path.stat().st_size
    offset, number = cursor.offset, cursor.record
    with path.open("rb") as file:
        while offset < size:
            file.seek(offset)
            piece = file.read(PIECE_BYTES)
            begins, ends = offset == 0, offset + len(piece) >= size
            if not ends:
                piece = _whole_lines(piece)
            offset, number = offset + len(piece), number + 1
            where = f"{path}, piece {number}"
            text = _decoded(piece.removeprefix(codecs.BOM_UTF8) if begins else piece, where)
            value = {"text": text.replace("\r\n", "\n"), "begins": begins, "ends": ends}
            yield RawRecord(value, where, Cursor(cursor.file, offset, number))


def _whole_lines(piece: bytes) -> bytes:
    cut = piece.rfind(b"\n") + 1
    if cut == 0:
        # No line end: cut before the last byte that begins a UTF-8 character (continuation bytes are 10xxxxxx), so
        # that no character is split between two pieces.
        ends = range(len(piece) - 4, len(piece))
        cut = max((index for index in ends if piece[index] & 0xC0 != 0x80), default=len(piece))
        cut -= piece[cut - 1 : cut] == b"\r"  # a line feed may follow
    return piece[:cut]


def _decoded(piece: bytes, where: str) -> str:
    try:
        return piece.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{where}: not UTF-8 ({error.reason}); convert or remove the file.") from None
