"""Build the index of some records: one SQLite file, written under another name and renamed when it is complete.

    items        one row per item: number, digest of its document, number in the data set, first words of its question
    tasks        one row per task: its items (a range of numbers) and arrays of models x items
    words        FTS5: one row per document, and one per model and item with a generated text
    arrays       for each row of `words`, its item and its model (-1: the document)
    facts        JSON by name: the models, the tables of the report, and the number of damaged lines

Arrays and not rows, because a filter over a million answers then takes milliseconds, and an answer 17 bytes.
"""

from __future__ import annotations

import json
import sqlite3
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from harness.errors import RecordError
from harness.records import ModelRecords, TaskRun
from harness.records.items import damaged_file
from harness.reports.view.numbering import UNKNOWN, Items
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


def build(
    path: Path,
    models: Sequence[ModelRecords],
    facts: Mapping[str, Any],
    progress: Progress,
    *,
    skip_broken: bool = False,
) -> None:
    """Write the index.

    Args:
        path: The file to write; it must not exist.
        models: With their items read.
        facts: What else to keep, as JSON, by name.
        progress: Told of the bytes that were read.
        skip_broken: Count damaged lines instead of raising; their items keep their values and lack their texts.

    Raises:
        RecordError: A samples file changed while it was read, or has a line that is not JSON.
    """
    with closing(sqlite3.connect(path)) as database:
        database.executescript(_SCHEMA)
        builder = _Builder(database, models, progress, skip_broken=skip_broken)
        builder.run()
        own = {"models": [model.name for model in models], "damaged": builder.damaged}
        for name, content in {**facts, **own}.items():
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
    """Reads the samples files task by task, and fills the tables.

    Attributes:
        damaged: Model, task, number of damaged lines and the first of them, from 1.
    """

    def __init__(
        self, database: sqlite3.Connection, models: Sequence[ModelRecords], progress: Progress, *, skip_broken: bool
    ) -> None:
        self._database, self._models, self._progress, self._skip_broken = database, models, progress, skip_broken
        self._items = 0  # items of the tasks so far
        self._word_items, self._word_models = array("q"), array("i")
        self.damaged: list[tuple[str, str, int, int]] = []

    def run(self) -> None:
        """Add every task, also those whose every request failed under every model."""
        domains = {task: one.domain for model in self._models for task, one in model.unscored_items.items()}
        domains |= {run.task: run.domain for model in self._models for run in model.tasks.values()}
        for task in sorted(domains, key=lambda name: (domains[name], name)):
            self._add_task(task, domains[task])
        arrays = {"word_items": self._word_items, "word_models": self._word_models}
        self._database.executemany(
            "INSERT INTO arrays VALUES (?, ?)", [(name, content.tobytes()) for name, content in arrays.items()]
        )

    def _add_task(self, task: str, domain: str) -> None:
        runs = {number: model.tasks[task] for number, model in enumerate(self._models) if task in model.tasks}
        items = Items()
        rows = [self._add_run(number, run, items) for number, run in runs.items()]
        failed = self._with_failures(task)
        if not (rows or failed):  # answers without scores only
            return
        self._add_without_text(items, failed)
        numbers = [*runs, *(number for number in failed if number not in runs)]
        doc_ids = np.array(items.doc_ids, dtype=np.int64)
        codes = np.full((len(numbers), len(doc_ids)), ABSENT, dtype=np.uint8)
        for at, number in enumerate(numbers):
            if number in failed:
                codes[at, np.isin(doc_ids, np.array(failed[number], dtype=np.int64))] = FAILED
        values = np.full(codes.shape, np.nan)
        offsets = np.full(codes.shape, NOWHERE, dtype=np.int64)
        for at, row in enumerate(rows):
            codes[at, row.places], values[at, row.places], offsets[at, row.places] = row.codes, row.values, row.offsets
        about = {"domain": domain, **self._metric_of(task, runs)}
        arrays = (codes.tobytes(), values.tobytes(), offsets.tobytes())
        facts = (task, json.dumps(about), self._items, len(doc_ids), json.dumps(numbers))
        self._database.execute("INSERT INTO tasks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", (*facts, *arrays))
        self._items += len(doc_ids)

    def _with_failures(self, task: str) -> dict[int, Sequence[int]]:
        """Return the models with failed requests, each with the numbers of the items that it was asked."""
        failed: dict[int, Sequence[int]] = {}
        for number, model in enumerate(self._models):
            if task in model.tasks and model.tasks[task].failed:
                failed[number] = model.tasks[task].item_numbers
            elif model.unscored.get(task):
                failed[number] = model.unscored_items[task].numbers
        return failed

    def _metric_of(self, task: str, runs: Mapping[int, TaskRun]) -> dict[str, Any]:
        if runs:
            run = next(iter(runs.values()))
            return {"metric": run.metric, "higher_is_better": run.higher_is_better}
        metric = next(model.unscored_items[task].metric for model in self._models if task in model.unscored_items)
        return {"metric": metric, "higher_is_better": True}  # the direction is not recorded, and no item has a value

    def _add_without_text(self, items: Items, failed: Mapping[int, Sequence[int]]) -> None:
        """Add the items of which no line can be read: it is damaged, or the requests failed under every model."""
        places = items.undescribed()
        for place in places:
            items.doc_ids[place] = place
        places += items.add_unanswered({number for numbers in failed.values() for number in numbers})
        rows: list[tuple[Any, ...]] = []
        for place in places:
            digest, copy = items.keys[place]
            rows.append((self._items + place, digest.decode(), copy, items.doc_ids[place], ""))
        self._write(rows, [])

    def _add_run(self, model: int, run: TaskRun, items: Items) -> _Row:
        """Read a samples file; add its new items, and the words of its answers."""
        places, values = items.places_of(run), run.headline_values
        codes = codes_of(values, higher_is_better=run.higher_is_better)
        offsets = np.full(len(places), NOWHERE, dtype=np.int64)
        new: list[tuple[Any, ...]] = []
        words: list[tuple[int, int, str]] = []
        for at, offset, row in self._rows_of(model, run):
            offsets[at] = offset
            codes[at] |= flags_of(row)
            place = int(places[at])
            item = self._items + place
            if items.doc_ids[place] == UNKNOWN:
                items.doc_ids[place] = _doc_id(row, at)
                digest, copy = items.keys[place]
                new.append((item, digest.decode(), copy, items.doc_ids[place], _storable(preview(row))))
                words.append((item, DOCUMENT, document_text(row)))
            words += [(item, model, "\n".join(texts)) for texts in [generated_texts(row)] if texts]
            if len(words) + len(new) >= _BATCH:
                self._write(new, words)
        self._write(new, words)
        return _Row(model=model, places=places, codes=codes, values=values, offsets=offsets)

    def _rows_of(self, model: int, run: TaskRun) -> Iterator[tuple[int, int, dict[str, Any]]]:
        """Yield the lines under the headline filter: number among them, offset, and content."""
        wanted = run.items.rows(run.metric.partition(",")[2]).tolist()
        left = iter(enumerate(wanted))
        at, next_line = next(left, (0, None))
        damaged: list[int] = []
        for number, (offset, line) in enumerate(lines_of(run.samples_file)):
            self._progress(len(line))
            if number == next_line:
                try:
                    yield at, offset, parsed(line, run.samples, f"line {number + 1}")
                except RecordError:
                    if not self._skip_broken:
                        raise
                    damaged.append(number + 1)
                at, next_line = next(left, (0, None))
        if next_line is not None:
            raise damaged_file(run.samples, "it lost lines while it was read")
        if damaged:
            self.damaged.append((self._models[model].name, run.task, len(damaged), damaged[0]))

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


def _doc_id(row: Mapping[str, Any], at: int) -> int:
    number = row.get("doc_id")
    return number if isinstance(number, int) and 0 <= number < 2**62 else at


def _storable(text: str) -> str:
    """Return the text without halves of characters, which UTF-8 and so SQLite cannot hold."""
    return text if text.isascii() else text.encode(errors="replace").decode()
