"""The index of some records, opened to read: arrays in memory, words and questions in SQLite.

index = Index(path)
mask = index.search("photosynthesis", ["base", "code"])     # one truth value per item
index.items([0, 1])                                         # digests and questions
"""

from __future__ import annotations

import functools
import json
import math
import re
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.digests import open_to_read
from harness.reports.view.building import DOCUMENT, NOWHERE
from harness.reports.view.outcomes import ABSENT, Codes, Mask, Values
from harness.reports.view.search import fts_query

SEARCHES_KEPT = 32
LARGE_GAP = 500  # rows of `words` that are worth another query to skip
_SEARCH = "SELECT rowid FROM words WHERE words MATCH ? AND rowid >= ? AND rowid <= ?"
BY_NUMBER = "number-"  # starts the id of an item without a digest
_BY_NUMBER = re.compile(BY_NUMBER + r"([0-9]{1,18})")
_BY_DIGEST = re.compile(r"([0-9A-Za-z]{8,64})(?:\.([0-9]{1,9}))?")
_COLUMNS = "id, digest, copy, doc_id, preview"


def _ranges(numbers: npt.NDArray[np.intp]) -> list[tuple[int, int]]:
    """Return first and last of each group of ascending numbers: 1 2 4 5000 5001 gives (1, 4), (5000, 5001)."""
    if not numbers.size:
        return []
    starts = np.flatnonzero(np.diff(numbers) > LARGE_GAP) + 1
    firsts, lasts = numbers[np.r_[0, starts]], numbers[np.r_[starts - 1, -1]]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


@dataclass(frozen=True, kw_only=True, eq=False)
class TaskItems:
    """The items of a task and what became of them; arrays have one row per model that ran the task.

    Attributes:
        task: Its name.
        domain: Its domain.
        metric: Headline metric, as ``name,filter``.
        higher_is_better: Whether more is better in it.
        first: Number of its first item; the others follow.
        models: Names of the models, in the order of the rows.
        codes: See `outcomes`.
        values: Headline metric; NaN without a value.
        offsets: Where the line of the samples file starts; `NOWHERE` without a line.
    """

    task: str
    domain: str
    metric: str
    higher_is_better: bool
    first: int
    models: tuple[str, ...]
    codes: Codes
    values: Values
    offsets: npt.NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of items."""
        return int(self.codes.shape[1])

    def of(self, models: Sequence[str]) -> tuple[Codes, Values]:
        """Return codes and values of some models, shape (models, items), also of models that did not run the task."""
        codes = np.full((len(models), self.count), ABSENT, dtype=np.uint8)
        values = np.full(codes.shape, np.nan)
        for at, name in enumerate(models):
            if name in self.models:
                row = self.models.index(name)
                codes[at], values[at] = self.codes[row], self.values[row]
        return codes, values

    def answer(self, item: int, model: str) -> tuple[int, float, int | None]:
        """Return code, value and offset of a model's answer to an item; the offset is None without a line."""
        if model not in self.models:
            return ABSENT, math.nan, None
        place = self.models.index(model), item - self.first
        offset = int(self.offsets[place])
        return int(self.codes[place]), float(self.values[place]), None if offset == NOWHERE else offset


@dataclass(frozen=True, kw_only=True)
class Item:
    """One item of the index.

    Attributes:
        number: Its number here, from 0; another index may number it otherwise.
        task: Its task.
        digest: lm-eval's digest of its document; empty if every model's request failed, so that no record has it.
        copy: How many items of the task before it have the same document.
        doc_id: Its number in the data set.
        preview: The first words of its question; empty if no line of it can be read.
    """

    number: int
    task: str
    digest: str
    copy: int
    doc_id: int
    preview: str

    @property
    def id(self) -> str:
        """Id of the item in links; does not depend on which other records are loaded.

        ``3b9e07aa51c2d4f6``, ``3b9e07aa51c2d4f6.1`` for a second copy, ``number-12`` without a digest.
        """
        name = self.digest[:16] + (f".{self.copy}" if self.copy else "")
        return name if _BY_DIGEST.fullmatch(name) else f"{BY_NUMBER}{self.doc_id}"


class Index:
    """An index file.

    Attributes:
        models: Names of the models, the best first if they can be ranked.
        tasks: By domain and name.
        count: Number of items.
    """

    def __init__(self, path: Path) -> None:
        self._database = open_to_read(path, shared=True)
        self._lock = threading.Lock()
        self._facts = {name: json.loads(text) for name, text in self._rows("SELECT name, content FROM facts")}
        arrays = dict(self._rows("SELECT name, content FROM arrays"))
        self._word_items = np.frombuffer(arrays["word_items"], dtype=np.int64)
        self._word_models = np.frombuffer(arrays["word_models"], dtype=np.int32)
        self.models: tuple[str, ...] = tuple(self._facts["models"])
        self.tasks = tuple(map(self._task, self._rows("SELECT * FROM tasks ORDER BY first")))
        self.count = sum(task.count for task in self.tasks)
        self._firsts = [task.first for task in self.tasks]
        self._matches = functools.lru_cache(SEARCHES_KEPT)(self._matching)

    def fact(self, name: str) -> Any:
        """Return what `build` was given under this name."""
        return self._facts[name]

    def task(self, name: str) -> TaskItems | None:
        """Return a task by name."""
        return next((task for task in self.tasks if task.task == name), None)

    def task_of(self, number: int) -> TaskItems:
        """Return the task of an item."""
        return self.tasks[int(np.searchsorted(self._firsts, number, side="right")) - 1]

    def items(self, numbers: Sequence[int]) -> list[Item]:
        """Return items by their numbers, in that order."""
        marks = ",".join("?" * len(numbers))
        query = f"SELECT {_COLUMNS} FROM items WHERE id IN ({marks})"  # noqa: S608 - only marks
        rows = {row[0]: row for row in self._rows(query, numbers)}
        return [self._item(rows[number]) for number in numbers]

    def find(self, task: TaskItems, identifier: str) -> Item | None:
        """Return the item of a task that `Item.id` names; None if there is none."""
        values: tuple[str | int, ...]
        if by_number := _BY_NUMBER.fullmatch(identifier):
            condition, values = "doc_id = ?", (int(by_number[1]),)
        elif by_digest := _BY_DIGEST.fullmatch(identifier):
            start, copy = by_digest.groups(default="0")
            condition, values = "digest >= ? AND digest < ? AND copy = ?", (start, f"{start}~", int(copy))
        else:
            return None
        query = f"SELECT {_COLUMNS} FROM items WHERE id >= ? AND id < ? AND {condition}"  # noqa: S608 - only constants
        rows = self._rows(query, (task.first, task.first + task.count, *values))
        return self._item(rows[0]) if rows else None

    def search(self, words: str, models: Sequence[str]) -> Mask:
        """Return which items contain all words: in their document, or in a text that one of the models generated.

        Returns:
            One truth value per item; all false if no word has a letter or digit.
        """
        query = fts_query(words)
        numbers = tuple(sorted(self.models.index(name) for name in models))
        return self._matches(query, numbers) if query else np.zeros(self.count, dtype=np.bool_)

    def _matching(self, query: str, models: tuple[int, ...]) -> Mask:
        """Read the rows of the documents and of these models only: a common word stands in the texts of all models."""
        wanted = np.isin(self._word_models, [DOCUMENT, *models])
        mask = np.zeros(self.count, dtype=np.bool_)
        for first, last in _ranges(np.flatnonzero(wanted)):
            with self._lock:
                rows = self._database.execute(_SEARCH, (query, first + 1, last + 1))
                places = np.fromiter((row[0] for row in rows), dtype=np.int64) - 1
            mask[self._word_items[places[wanted[places]]]] = True
        return mask

    def _rows(self, query: str, arguments: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._database.execute(query, tuple(arguments)).fetchall()

    def _task(self, row: tuple[Any, ...]) -> TaskItems:
        task, about, first, count, models, codes, values, offsets = row
        numbers = json.loads(models)
        shape = (len(numbers), count)
        return TaskItems(
            task=task,
            first=first,
            models=tuple(self.models[number] for number in numbers),
            codes=np.frombuffer(codes, dtype=np.uint8).reshape(shape),
            values=np.frombuffer(values, dtype=np.float64).reshape(shape),
            offsets=np.frombuffer(offsets, dtype=np.int64).reshape(shape),
            **json.loads(about),
        )

    def _item(self, row: tuple[Any, ...]) -> Item:
        number, digest, copy, doc_id, preview = row
        task = self.task_of(number).task
        return Item(number=number, task=task, digest=digest, copy=copy, doc_id=doc_id, preview=preview)
