"""Numbers the items of a task, in the order in which the runs bring them.

items = Items()
items.places_of(first_run)       # [0, 1, 2]
items.places_of(second_run)      # [2, 0, 3]: it lacks the second item, and brings a new one
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from harness.records import TaskRun

UNKNOWN = -1  # in place of an item's number in the data set: no line of it has been read yet


class Items:
    """The items of a task.

    The second copy of a document is another item than the first, as in `harness.reports.analysis.pairing`.

    Attributes:
        keys: Digest of each item, and how often that digest came before; no digest for an item that no model answered.
        doc_ids: Number of each item in the data set, or `UNKNOWN`.
    """

    def __init__(self) -> None:
        self.keys: list[tuple[bytes, int]] = []
        self.doc_ids = array("q")
        self._numbers: dict[tuple[bytes, int], int] = {}
        self._first: npt.NDArray[np.bytes_] | None = None

    def places_of(self, run: TaskRun) -> npt.NDArray[np.intp]:
        """Return the number of each item of a run."""
        digests = run.items.doc_hash[run.items.rows(run.metric.partition(",")[2])]
        if self._first is not None and np.array_equal(self._first, digests):
            return np.arange(len(digests))  # the usual case: all runs hold the same items in the same order
        copies: Counter[bytes] = Counter()
        places = np.empty(len(digests), dtype=np.intp)
        for at, digest in enumerate(digests.tolist()):
            key = digest, copies[digest]
            copies[digest] += 1
            if key not in self._numbers:
                self._numbers[key] = len(self.keys)
                self.keys.append(key)
                self.doc_ids.append(UNKNOWN)
            places[at] = self._numbers[key]
        if self._first is None:
            self._first = digests
        return places

    def undescribed(self) -> list[int]:
        """Return the items of which no line could be read."""
        return [place for place, doc_id in enumerate(self.doc_ids) if doc_id == UNKNOWN]

    def add_unanswered(self, doc_ids: Iterable[int]) -> list[int]:
        """Add the items of these numbers in the data set that no run has brought; returns their places."""
        start = len(self.keys)
        new = sorted(set(doc_ids).difference(self.doc_ids))
        self.doc_ids.extend(new)
        self.keys.extend((b"", 0) for _ in new)
        return list(range(start, len(self.keys)))
