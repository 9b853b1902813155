"""Build the index of some records: one SQLite file, written under another name and renamed when it is complete.

    items        one row per item: number, digest of its document, number in the data set, first words of its question
    tasks        one row per task: its items (a range of numbers) and arrays of models x items
    words        FTS5: one row per document, and one per model and item with a generated text
    arrays       for each row of `words`, its item and its model (-1: the document)
    facts        JSON by name: the models, and the tables of the report

Arrays and not rows, because a filter over a million answers then takes milliseconds, and an answer 17 bytes.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.records import ModelRecords, TaskRun
from harness.records.items import damaged_file
from harness.reports.view.outcomes import ABSENT, FAILED, Codes, Values, codes_of
from harness.reports.view.sample_lines import document_text, flags_of, generated_texts, lines_of, parsed, preview
from harness.reports.view.search import searchable

Progress = Callable[[int], None]
"""Called with the number of bytes read since the last call."""

DOCUMENT = -1  # in place of a model's number: the row of `words` is of the item's document
NOWHERE = -1  # in place of an offset: there is no line
_BATCH = 2_000
_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA cache_size = -32768;
CREATE TABLE items (id INTEGER PRIMARY KEY, digest TEXT, copy INTEGER, doc_id INTEGER, preview TEXT);
CREATE TABLE tasks (
    task TEXT PRIMARY KEY, about TEXT, first INTEGER, count INTEGER, models TEXT, codes BLOB, vals BLOB, offsets BLOB
);
CREATE TABLE arrays (name TEXT PRIMARY KEY, content BLOB);
CREATE TABLE facts (name TEXT PRIMARY KEY, content TEXT);
CREATE VIRTUAL TABLE words USING fts5(body, content='', tokenize='unicode61 remove_diacritics 2');
"""


def build(path: Path, models: Sequence[ModelRecords], facts: Mapping[str, Any], progress: Progress) -> None:
    """Write the index.

    Args:
        path: The file to write; it must not exist.
        models: With their items read.
        facts: What else to keep, as JSON, by name.
        progress: Told of the bytes that were read.

    Raises:
        RecordError: A samples file changed while it was read, or has a line that is not JSON.
    """
    with closing(sqlite3.connect(path)) as database:
        database.executescript(_SCHEMA)
        _Builder(database, models, progress).run()
        names = [model.name for model in models]
        for name, content in {**facts, "models": names}.items():
            database.execute("INSERT INTO facts VALUES (?, ?)", (name, json.dumps(content)))
        database.execute("CREATE INDEX by_digest ON items (digest)")
        database.commit()


@dataclass(kw_only=True, eq=False)
class _Row:
    """A model's answers to a task, by number of the item within the task; grows as later models bring new items."""

    model: int
    places: npt.NDArray[np.intp]
    codes: Codes
    values: Values
    offsets: npt.NDArray[np.int64]


class _Builder:
    def __init__(self, database: sqlite3.Connection, models: Sequence[ModelRecords], progress: Progress) -> None:
        self._database, self._models, self._progress = database, models, progress
        self._items = 0  # items of the tasks so far
        self._word_items, self._word_models = array("q"), array("i")

    def run(self) -> None:
        runs = {run.task: run.domain for model in self._models for run in model.tasks.values()}
        for task, _ in sorted(runs.items(), key=lambda one: (one[1], one[0])):
            self._add_task(task)
        arrays = {"word_items": self._word_items, "word_models": self._word_models}
        self._database.executemany(
            "INSERT INTO arrays VALUES (?, ?)", [(name, content.tobytes()) for name, content in arrays.items()]
        )

    def _add_task(self, task: str) -> None:
        runs = {number: model.tasks[task] for number, model in enumerate(self._models) if task in model.tasks}
        numbering, rows = _Numbering(), []
        doc_ids = array("q")
        for number, run in runs.items():
            rows.append(self._add_run(number, run, numbering, doc_ids))
        lost = [number for number, model in enumerate(self._models) if task in model.unscored]
        asked = [runs[row.model].items_asked if runs[row.model].failed else 0 for row in rows]
        count = len(doc_ids)
        codes = np.full((len(rows) + len(lost), count), ABSENT, dtype=np.uint8)
        codes[: len(rows)][np.array(doc_ids, dtype=np.int64) < np.array(asked)[:, None]] = FAILED
        codes[len(rows) :] = FAILED
        values = np.full(codes.shape, np.nan)
        offsets = np.full(codes.shape, NOWHERE, dtype=np.int64)
        for at, row in enumerate(rows):
            codes[at, row.places], values[at, row.places], offsets[at, row.places] = row.codes, row.values, row.offsets
        about = next(iter(runs.values()))
        facts = {"domain": about.domain, "metric": about.metric, "higher_is_better": about.higher_is_better}
        numbers = [*(row.model for row in rows), *lost]
        self._database.execute(
            "INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                task, json.dumps(facts), self._items, count, json.dumps(numbers),
                codes.tobytes(), values.tobytes(), offsets.tobytes(),
            ),
        )  # fmt: skip
        self._items += count

    def _add_run(self, model: int, run: TaskRun, numbering: _Numbering, doc_ids: array[int]) -> _Row:
        """Read a samples file; add its new items, and the words of its answers. `doc_ids` has one per item so far."""
        places, values = numbering.places_of(run), run.headline_values
        codes = codes_of(values, higher_is_better=run.higher_is_better)
        offsets = np.empty(len(places), dtype=np.int64)
        items: list[tuple[Any, ...]] = []
        words: list[tuple[int, int, str]] = []
        for at, (offset, row) in enumerate(self._rows_of(run)):
            offsets[at] = offset
            codes[at] |= flags_of(row)
            item = self._items + int(places[at])
            if places[at] == len(doc_ids):
                doc_ids.append(_doc_id(row, at))
                digest, copy = numbering.keys[places[at]]
                items.append((item, digest.decode(), copy, doc_ids[-1], _storable(preview(row))))
                words.append((item, DOCUMENT, document_text(row)))
            words += [(item, model, "\n".join(texts)) for texts in [generated_texts(row)] if texts]
            if len(words) + len(items) >= _BATCH:
                self._write(items, words)
        self._write(items, words)
        return _Row(model=model, places=places, codes=codes, values=values, offsets=offsets)

    def _rows_of(self, run: TaskRun) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield offset and content of the lines under the headline filter."""
        wanted = run.items.rows(run.metric.partition(",")[2]).tolist()
        left = iter(wanted)
        next_line = next(left, None)
        for number, (offset, line) in enumerate(lines_of(run.samples)):
            self._progress(len(line))
            if number == next_line:
                yield offset, parsed(line, run.samples, f"line {number + 1}")
                next_line = next(left, None)
        if next_line is not None:
            raise damaged_file(run.samples, "it lost lines while it was read")

    def _write(self, items: list[tuple[Any, ...]], words: list[tuple[int, int, str]]) -> None:
        """Write new items, and words with their item and model; empties both lists."""
        self._word_items.extend(item for item, _, _ in words)
        self._word_models.extend(model for _, model, _ in words)
        self._database.executemany(
            "INSERT INTO words (body) VALUES (?)", [(searchable(_storable(text)),) for _, _, text in words]
        )
        self._database.executemany("INSERT INTO items VALUES (?, ?, ?, ?, ?)", items)
        items.clear()
        words.clear()


class _Numbering:
    """Numbers the items of a task from 0, in the order in which the runs bring them.

    The second copy of a document is another item than the first, as in `harness.reports.analysis.pairing`.

    Attributes:
        keys: Digest of each item, and how often that digest came before.
    """

    def __init__(self) -> None:
        self.keys: list[tuple[bytes, int]] = []
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
            places[at] = self._numbers[key]
        if self._first is None:
            self._first = digests
        return places


def _doc_id(row: Mapping[str, Any], at: int) -> int:
    number = row.get("doc_id")
    return number if isinstance(number, int) and 0 <= number < 2**62 else at


def _storable(text: str) -> str:
    """Return the text without halves of characters, which UTF-8 and so SQLite cannot hold."""
    return text if text.isascii() else text.encode(errors="replace").decode()
