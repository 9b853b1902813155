"""Find the n-grams of one length in a text, among those that were added: a filter, then a sorted table, then letters.

Each n-gram of 13 words contains, wherever it stands, one block of 11 words that begins at a multiple of 3. Only these
blocks are looked up in the filter; only around a block that passes, all n-grams are looked up in the table:

    corpus    0  1  2 [3  4  5  6  7  8  9 10 11 12 13] 14 15 16
                 ^ the n-gram from 1 to 13 holds the block from 3 to 13, and no other
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.overlap.letters import Hashes, Letters, Positions, Unit

PLACES_BITS = 4  # the filter has 16 places or more per hash
SECOND = 0x9FB21C651E98DF25  # a hash takes two of them, so that at most 1 of 64 passes by chance


@dataclass(frozen=True, kw_only=True, eq=False)
class Entries:
    """N-grams to look for. All arrays have the same length.

    Attributes:
        item: Number of the item.
        text: Number of the item's text.
        at: Unit of the text at which the n-gram begins.
        units: Its length; at least that of the index.
        probe: Hash of its first units, as many as the index is long.
        whole: Hash of all its units.
    """

    item: Positions
    text: Positions
    at: Positions
    units: Positions
    probe: Hashes
    whole: Hashes

    @classmethod
    def joined(cls, parts: list[Entries]) -> Entries:
        """Return the entries of all parts."""
        names = cls.__dataclass_fields__
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def at_places(self, places: npt.NDArray[np.generic]) -> Entries:
        """Return the entries at some places, by their numbers or by a mask."""
        return Entries(**{name: getattr(self, name)[places] for name in self.__dataclass_fields__})


class WindowIndex:
    """The n-grams of one unit and least length."""

    def __init__(self, unit: Unit, length: int) -> None:
        """`length` is that of the n-grams; longer entries are found by their first `length` units."""
        self.unit, self.length = unit, length
        self.stride = max(1, length // 4)
        self.block = length - self.stride + 1
        self._blocks: list[Hashes] = []
        self._parts: list[Entries] = []

    def add_all(self, item: int, text: int, letters: Letters) -> None:
        """Add all n-grams of a text."""
        count = letters.bounds(self.unit).size - self.length
        if count > 0:
            self._add(item, text, letters, np.arange(count), self.length)

    def add_whole(self, item: int, text: int, letters: Letters) -> None:
        """Add a text as a whole; it has at least `length` units."""
        self._add(item, text, letters, np.zeros(1, dtype=np.intp), letters.bounds(self.unit).size - 1)

    def _add(self, item: int, text: int, letters: Letters, at: Positions, units: int) -> None:
        blocks = np.arange(at[0], at[-1] + self.stride)
        self._blocks.append(letters.hashes(self.unit, blocks, blocks + self.block))
        self._parts.append(
            Entries(
                item=np.full(at.size, item),
                text=np.full(at.size, text),
                at=at,
                units=np.full(at.size, units),
                probe=letters.hashes(self.unit, at, at + self.length),
                whole=letters.hashes(self.unit, at, at + units),
            )
        )

    def entries(self) -> Entries | None:
        """Return what was added; None if nothing was."""
        return Entries.joined(self._parts) if self._parts else None

    def freeze(self, entries: Entries) -> None:
        """Look for these entries from now on, which are some of those that were added."""
        self._parts = []
        order = np.argsort(entries.probe, kind="stable")
        self.sorted = entries.at_places(order)
        blocks = np.unique(np.concatenate(self._blocks))
        self._blocks = []
        bits = max(10, int(blocks.size).bit_length() + PLACES_BITS)
        self._shift = np.uint64(64 - bits)
        self._filter = np.zeros(1 << bits, dtype=np.bool_)
        self._filter[blocks >> self._shift] = True
        self._filter[blocks * np.uint64(SECOND) >> self._shift] = True

    def hits(self, letters: Letters) -> tuple[Positions, Positions]:
        """Return the units of a text at which an entry may begin, and the number of that entry in `sorted`.

        The hashes of these are equal, which leaves it to the caller to compare the letters.
        """
        count = letters.bounds(self.unit).size - 1
        begins = self._near(letters, count)
        probes = letters.hashes(self.unit, begins, begins + self.length)
        first = np.searchsorted(self.sorted.probe, probes, side="left")
        known = np.flatnonzero(self.sorted.probe[np.minimum(first, self.sorted.probe.size - 1)] == probes)
        first, begins = first[known], begins[known]
        counts = np.searchsorted(self.sorted.probe, probes[known], side="right") - first
        # Two places, the first with entries 7 and 8, the second with entry 3:
        #   first [7, 3]  counts [2, 1]   ->   entries [7, 8, 3]
        offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        entries, begins = np.repeat(first, counts) + offsets, np.repeat(begins, counts)
        ends = begins + self.sorted.units[entries]
        inside = ends <= count
        entries, begins, ends = entries[inside], begins[inside], ends[inside]
        equal = letters.hashes(self.unit, begins, ends) == self.sorted.whole[entries]
        return begins[equal], entries[equal]

    def _near(self, letters: Letters, count: int) -> Positions:
        """Return where n-grams begin that hold a block which passes the filter; the text has `count` units."""
        last = count - self.length
        if last < 0:
            return np.zeros(0, dtype=np.intp)
        blocks = np.arange(0, count - self.block + 1, self.stride)
        hashes = letters.hashes(self.unit, blocks, blocks + self.block)
        passed = np.flatnonzero(self._filter[hashes >> self._shift])
        passed = blocks[passed[self._filter[hashes[passed] * np.uint64(SECOND) >> self._shift]]]
        begins = (passed[:, np.newaxis] - np.arange(self.stride)).ravel()
        near: Positions = begins[(begins >= 0) & (begins <= last)]
        return near
