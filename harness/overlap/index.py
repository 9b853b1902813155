"""The n-grams of all items of some tasks, and which of them stand in a text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from harness.overlap.items import OverlapItem
from harness.overlap.letters import Codes, Letters, Positions, Unit, composed, letters_of
from harness.overlap.windows import Entries, WindowIndex

MOST_ITEMS = 10  # of a task that may share an n-gram; GPT-3 leaves out n-grams of more than 10 documents (appendix C)
LEAST_WORDS, LEAST_CHARACTERS = 5, 15  # of a question that is shorter than an n-gram and is looked for as a whole


@dataclass(frozen=True, kw_only=True)
class NgramSizes:
    """Lengths of n-grams.

    Attributes:
        words: For text; 13, as in GPT-3 (arXiv 2005.14165, appendix C) and lm-eval.
        characters: For code and Chinese; 50, as in GPT-4 (arXiv 2303.08774, appendix C).
    """

    words: int = 13
    characters: int = 50

    def of(self, unit: Unit) -> int:
        """Return the length in units."""
        return self.words if unit == "words" else self.characters


@dataclass(frozen=True, kw_only=True)
class Match:
    """An n-gram of an item in a text.

    Attributes:
        item: Number of the item.
        ngram: Number of the n-gram.
        begin: Its first letter in the text.
        end: The letter after its last.
    """

    item: int
    ngram: int
    begin: int
    end: int


class ItemIndex:
    """The n-grams of items.

    Attributes:
        items: The items.
        sizes: Lengths of the n-grams.
        ngrams: Number of n-grams looked for, by item; 0 for an item that is too short or has only wording that many
            items of its task share.
        count: Their sum.
    """

    def __init__(self, items: Sequence[OverlapItem], sizes: NgramSizes) -> None:
        self.items, self.sizes = items, sizes
        self._texts: list[tuple[Codes, Positions]] = []  # letters and word begins, to compare matches with
        least: dict[Unit, int] = {"words": LEAST_WORDS, "characters": LEAST_CHARACTERS}
        whole = {unit: WindowIndex(unit, min(length, sizes.of(unit))) for unit, length in least.items()}
        every = {unit: WindowIndex(unit, sizes.of(unit)) for unit in least}
        for number, item in enumerate(items):
            self._add(number, item, every[item.unit], whole[item.unit])
        self._windows: list[tuple[WindowIndex, int]] = []  # with the number of their first n-gram
        self.count = 0
        self.ngrams = np.zeros(len(items), dtype=np.intp)
        for window in (*every.values(), *whole.values()):
            self._freeze(window)

    def _add(self, number: int, item: OverlapItem, every: WindowIndex, whole: WindowIndex) -> None:
        for place, text in enumerate(item.texts):
            letters = letters_of(composed(text))
            bounds = letters.bounds(item.unit)
            self._texts.append((letters.folded(0, letters.places.size), bounds))
            is_short_question = place == 0 and bounds.size <= self.sizes.of(item.unit)
            if not is_short_question:
                every.add_all(number, len(self._texts) - 1, letters)
            elif bounds.size > whole.length:
                whole.add_whole(number, len(self._texts) - 1, letters)

    def _freeze(self, window: WindowIndex) -> None:
        entries = window.entries()
        if entries is None:
            return
        tasks = np.unique([item.task for item in self.items], return_inverse=True)[1]
        window.freeze(_distinct(entries, tasks))
        self._windows.append((window, self.count))
        self.count += window.sorted.item.size
        self.ngrams += np.bincount(window.sorted.item, minlength=len(self.items))

    def matches(self, letters: Letters, documents: Positions, found: npt.NDArray[np.bool_]) -> Iterator[Match]:
        """Yield the n-grams that stand in a text and were not found before, in order, and mark them as found.

        Args:
            letters: The text.
            documents: Number of each document's first letter; no n-gram reaches from one document into the next.
            found: By n-gram, shape (count,).
        """
        for window, first in self._windows:
            bounds = letters.bounds(window.unit)
            begins, entries = window.hits(letters)
            new = np.flatnonzero(~found[first + entries])
            new = new[np.argsort(begins[new], kind="stable")]
            for unit, entry in zip(begins[new].tolist(), entries[new].tolist(), strict=True):
                begin = int(bounds[unit])
                end = int(bounds[unit + window.sorted.units[entry]])
                same = np.searchsorted(documents, begin, "right") == np.searchsorted(documents, end - 1, "right")
                if same and not found[first + entry] and self._equal(window, entry, letters, unit):
                    found[first + entry] = True
                    yield Match(item=int(window.sorted.item[entry]), ngram=first + entry, begin=begin, end=end)

    def _equal(self, window: WindowIndex, entry: int, letters: Letters, unit: int) -> bool:
        """Whether an n-gram is the same in both texts: letters, and for words also where these begin."""
        table = window.sorted
        folded, own = self._texts[int(table.text[entry])]
        at, units = int(table.at[entry]), int(table.units[entry])
        own_bounds = own[at : at + units + 1]
        bounds = letters.bounds(window.unit)[unit : unit + units + 1]
        if not np.array_equal(own_bounds - own_bounds[0], bounds - bounds[0]):
            return False
        return np.array_equal(folded[own_bounds[0] : own_bounds[-1]], letters.folded(bounds[0], bounds[-1]))


def _distinct(entries: Entries, tasks: Positions) -> Entries:
    """Return each n-gram of an item once, without those that more than `MOST_ITEMS` items of a task share."""
    # Sorted by hash, task and item; n-gram 5 stands twice in item 0:
    #   whole 5 5 5 8    task 0 0 0 0    item 0 0 1 0    ->  kept 1 0 1 1,  group 0 0 0 1,  items of a group 2 1
    task = tasks[entries.item]
    order = np.lexsort((entries.item, task, entries.whole))
    entries, task = entries.at_places(order), task[order]
    new_group = np.ones(task.size, dtype=np.bool_)
    new_group[1:] = (entries.whole[1:] != entries.whole[:-1]) | (task[1:] != task[:-1])
    kept = new_group.copy()
    kept[1:] |= entries.item[1:] != entries.item[:-1]
    group = np.cumsum(new_group) - 1
    shared_by = np.bincount(group[kept])
    return entries.at_places(kept & (shared_by[group] <= MOST_ITEMS))
