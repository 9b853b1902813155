"""An opened source: the order of its records, and the exact position between two of them.

Records are shuffled block by block: a block is read, permuted by (seed, source, epoch, block) and given out. The order
is random within a block only; in return memory is bounded, and a position is found again without reading the file up
to it.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.digests import file_digest
from harness.errors import InputError
from harness.trainers.data.formats import FIELD_NAMES, Format, TrainingRecord, convert, with_last_answer
from harness.trainers.data.hub_reader import HubReader
from harness.trainers.data.readers import BadRecord, Cursor, RawRecord, Reader
from harness.trainers.data.record_fields import Rationale, RecordFields
from harness.trainers.data.task_reader import TaskReader

BLOCK_RECORDS = 2048
BLOCK_BYTES = 1 << 24  # of text, roughly: a block is held in memory
BLOCKS_CACHED = 2
START = Cursor()


@dataclass(frozen=True)
class SourcePosition:
    """A position between two records of a source.

    Attributes:
        epoch: How often the source was started again.
        block: Index of the block in this epoch.
        cursor: Where the block begins.
        used_in_block: Records of the block that were given out.
        records_before: Records of this epoch before the block.
    """

    epoch: int = 0
    block: int = 0
    cursor: Cursor = START
    used_in_block: int = 0
    records_before: int = 0

    def after_block(self, block: Sequence[RawRecord]) -> SourcePosition:
        """Return the position after the block that begins here."""
        return SourcePosition(self.epoch, self.block + 1, block[-1].after, 0, self.records_before + len(block))

    def to_json(self) -> dict[str, Any]:
        """Return plain values, under the keys of the stream's log."""
        return {
            "turn": self.epoch,
            "block": self.block,
            "cursor": list(self.cursor),
            "within": self.used_in_block,
            "seen": self.records_before,
        }

    @classmethod
    def from_json(cls, state: dict[str, Any]) -> SourcePosition:
        """Return the position that `to_json` described."""
        return cls(state["turn"], state["block"], Cursor(*state["cursor"]), state["within"], state["seen"])


@dataclass(frozen=True, kw_only=True)
class Source:
    """One opened source.

    Attributes:
        name: Its name in the stage file.
        location: Path, hub id or task, as the stage file says.
        reader: Reads its raw records.
        format: Format of the records.
        fields: A format's field name -> the file's; or the file's -> ``ignore``.
        rationale: Where a record's rationale goes.
        shuffle_seed: None for the order of the files.
        skip: Records left out at the beginning of every epoch.
        limit: Records used after those in every epoch.
        only_last: Whether only the last answer of a conversation is learned.
        recent_blocks: The blocks read last, by their beginning and the number of records requested.
    """

    name: str
    location: str
    reader: Reader
    format: Format
    fields: dict[str, str]
    rationale: Rationale
    shuffle_seed: int | None
    skip: int = 0
    limit: int | None = None
    only_last: bool = False
    # Planning, training and each saved state read at nearly the same position. Without this cache each of them would
    # read, or generate, the same block again.
    recent_blocks: dict[tuple[Cursor, int], list[RawRecord]] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def read_epoch(self, position: SourcePosition) -> Iterator[tuple[TrainingRecord, str, SourcePosition]]:
        """Yield ``(record, where, position after it)`` from `position` to the end of its epoch."""
        for raw, after in self.read_raw(position):
            yield self.convert(raw), raw.where, after

    def read_raw(self, position: SourcePosition) -> Iterator[tuple[RawRecord, SourcePosition]]:
        """Yield ``(raw record, position after it)`` from `position` to the end of its epoch."""
        for start, block in self._blocks(position):
            order = list(range(len(block)))
            if self.shuffle_seed is not None:
                order = _shuffled(block, f"{self.shuffle_seed}/{self.name}/{start.epoch}/{start.block}")
            # `skip` counts records in the order of the file, so that every seed leaves out the same ones.
            used = [index for index in order if start.records_before + index >= self.skip]
            next_block = start.after_block(block)
            for number in range(start.used_in_block, len(used)):
                raw = block[used[number]]
                after = replace(start, used_in_block=number + 1) if number + 1 < len(used) else next_block
                yield raw, after

    def _blocks(self, start: SourcePosition) -> Iterator[tuple[SourcePosition, list[RawRecord]]]:
        """Yield each block with its position, from that of `start` to the end of the epoch."""
        stop = None if self.limit is None else self.skip + self.limit
        raws: Iterator[RawRecord] | None = None
        while stop is None or start.records_before < stop:
            size = BLOCK_RECORDS if stop is None else min(BLOCK_RECORDS, stop - start.records_before)
            block = self.recent_blocks.get((start.cursor, size)) if raws is None else None
            if block is None:
                # One reader for all blocks: a hub stream or a gzip file can only be entered by reading up to the place.
                raws = raws or self.reader.read(start.cursor)
                block = _read_block(raws, size)
                self._cache((start.cursor, size), block)
            if not block:
                return
            yield start, block
            start = start.after_block(block)

    def _cache(self, key: tuple[Cursor, int], block: list[RawRecord]) -> None:
        self.recent_blocks[key] = block
        while len(self.recent_blocks) > BLOCKS_CACHED:
            del self.recent_blocks[next(iter(self.recent_blocks))]

    def convert(self, raw: RawRecord) -> TrainingRecord:
        """Convert a raw record by the source's format. Raises: InputError: it cannot be parsed or converted."""
        value = raw.value
        if isinstance(value, BadRecord):
            raise InputError(value.problem)
        if isinstance(self.reader, TaskReader):  # generated items also have fields that describe them
            value = {name: held for name, held in value.items() if name in FIELD_NAMES[self.format]}
        record = convert(self.format, RecordFields(value, raw.where, self.fields, self.rationale))
        return with_last_answer(record) if self.only_last else record

    def digest(self) -> str | None:
        """Return the sha256 over the names and bytes of its files; the commit of a hub data set; otherwise None."""
        if not self.reader.files:
            revision = self.reader.revision if isinstance(self.reader, HubReader) else None
            return f"commit:{revision}" if revision is not None else None
        total = hashlib.sha256()
        for path in self.reader.files:
            total.update(f"{path.name}:{file_digest(path)}\n".encode())
        return f"sha256:{total.hexdigest()}"


def _read_block(raws: Iterator[RawRecord], max_records: int) -> list[RawRecord]:
    block: list[RawRecord] = []
    size = 0
    for raw in raws:
        block.append(raw)
        size += _size(raw.value)
        if len(block) >= max_records or size >= BLOCK_BYTES:
            break
    return block


def _shuffled(block: list[RawRecord], seed: str) -> list[int]:
    """Return the records' indices with the documents in random order; the pieces of a long text stay in sequence."""
    # A text file longer than 64 KiB is read in pieces, each a record. Block: the end of book 1 (index 0), short
    # texts 1 and 2, the pieces 3 4 of book 2, the beginning 5 of book 3, which continues in the next block:
    #   documents [0] [1] [2] [3 4] [5]  ->  0, then 1, 2 and (3 4) in random order, then 5
    documents: list[list[int]] = []
    for index, raw in enumerate(block):
        if index == 0 or _begins(raw):
            documents.append([])
        documents[-1].append(index)
    first = documents[:1] if not _begins(block[0]) else []
    last = documents[-1:] if not _ends(block[-1]) and len(documents) > len(first) else []
    between = documents[len(first) : len(documents) - len(last)]
    random.Random(seed).shuffle(between)
    return [index for document in (*first, *between, *last) for index in document]


def _begins(raw: RawRecord) -> bool:
    return not isinstance(raw.value, dict) or raw.value.get("begins", True) is not False


def _ends(raw: RawRecord) -> bool:
    return not isinstance(raw.value, dict) or raw.value.get("ends", True) is not False


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list) else 8
