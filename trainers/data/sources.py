"""A source of the stage file, opened: where its files are, in which order its records come, what they are.

Records are put in order block by block: a block of records is read, permuted by (seed, source, pass, block), given out.
So the order is random but for its reach, memory is bounded, and a place is found again without reading what was before.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from harness.digests import file_digest
from harness.trainers.data.hub_reader import HubReader
from harness.trainers.data.readers import Cursor, Raw, Reader
from harness.trainers.data.records import READ, Fields, Format, Rationale, Record

BLOCK_RECORDS = 2048
BEGINNING = Cursor()
BLOCK_BYTES = 1 << 24  # of text, roughly: a block lies in memory
BLOCKS_KEPT = 2


@dataclass(frozen=True)
class Place:
    """Where a source stands: between two records.

    Attributes:
        turn: How often the source has been begun anew.
        block: Index of the block in this turn.
        cursor: Where the block begins.
        within: Records of the block that were given out.
        seen: Records of this turn that lie before the block.
    """

    turn: int = 0
    block: int = 0
    cursor: Cursor = BEGINNING
    within: int = 0
    seen: int = 0

    def behind(self, block: Sequence[Raw]) -> Place:
        """Return the place behind the block that begins here."""
        return Place(self.turn, self.block + 1, block[-1].after, 0, self.seen + len(block))


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source, opened.

    Attributes:
        name: Its name in the stage file.
        location: What the user named.
        reader: Reads its raw records.
        format: What they are.
        fields: A format's field name -> the file's.
        rationale: What becomes of rationales.
        shuffle_seed: None: records come in the order of the files.
        skip: Records left out at the beginning of every turn.
        limit: Records used after those in every turn.
        recent: The blocks read last, by where they begin and how many records were asked for. Planning, training and
            each saved state stand at nearly the same place, and would read or generate the same block in turn.
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
    recent: dict[tuple[Cursor, int], list[Raw]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def turn(self, place: Place) -> Iterator[tuple[Record, str, Place]]:
        """Yield ``(record, where, place after it)`` from `place` to the end of its turn."""
        for at, block in self._blocks(place):
            order = list(range(len(block)))
            if self.shuffle_seed is not None:
                order = _shuffled(block, f"{self.shuffle_seed}/{self.name}/{at.turn}/{at.block}")
            used = [index for index in order if at.seen + index >= self.skip]
            following = at.behind(block)
            for number in range(at.within, len(used)):
                raw = block[used[number]]
                after = replace(at, within=number + 1) if number + 1 < len(used) else following
                yield self.understood(raw), raw.where, after

    def _blocks(self, at: Place) -> Iterator[tuple[Place, list[Raw]]]:
        """Yield each block with its place, from that of `at` to the end of the turn."""
        stop = None if self.limit is None else self.skip + self.limit
        raws: Iterator[Raw] | None = None
        while stop is None or at.seen < stop:
            most = BLOCK_RECORDS if stop is None else min(BLOCK_RECORDS, stop - at.seen)
            block = self.recent.get((at.cursor, most)) if raws is None else None
            if block is None:
                # Opened once: to enter a stream or a packed file anew is to read it anew.
                raws = raws or self.reader.read(at.cursor)
                block = _block(raws, most)
                self._keep((at.cursor, most), block)
            if not block:
                return
            yield at, block
            at = at.behind(block)

    def _keep(self, key: tuple[Cursor, int], block: list[Raw]) -> None:
        self.recent[key] = block
        while len(self.recent) > BLOCKS_KEPT:
            del self.recent[next(iter(self.recent))]

    def understood(self, raw: Raw) -> Record:
        """Make a record of a raw one."""
        return READ[self.format](Fields(raw.value, raw.where, self.fields, self.rationale))

    def digest(self) -> str | None:
        """Return the sha256 over the names and bytes of its files; of a hub data set its commit; else None."""
        if not self.reader.files:
            revision = self.reader.revision if isinstance(self.reader, HubReader) else None
            return f"commit:{revision}" if revision is not None else None
        total = hashlib.sha256()
        for path in self.reader.files:
            total.update(f"{path.name}:{file_digest(path)}\n".encode())
        return f"sha256:{total.hexdigest()}"


def _block(raws: Iterator[Raw], most: int) -> list[Raw]:
    block: list[Raw] = []
    size = 0
    for raw in raws:
        block.append(raw)
        size += _size(raw.value)
        if len(block) >= most or size >= BLOCK_BYTES:
            break
    return block


def _shuffled(block: list[Raw], seed: str) -> list[int]:
    """Put the documents of a block in random order. The pieces of a long text stay together and in theirs.

    A text that began before the block goes on first, and one that goes on behind it comes last.
    """
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


def _begins(raw: Raw) -> bool:
    return not isinstance(raw.value, dict) or raw.value.get("begins", True) is not False


def _ends(raw: Raw) -> bool:
    return not isinstance(raw.value, dict) or raw.value.get("ends", True) is not False


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list) else 8
