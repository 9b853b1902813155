"""The items of a split, read like a `datasets.Dataset`, but faster and without that library.

    table = item_table([{"id": "a", "choices": ["x", "y"], "gold": 0}])
    table[0]["choices"]     # as with a Dataset, each access makes a new dictionary
    table.map(function)     # anything else is done by a Dataset of the items

An evaluation reads every item about five times, and a `Dataset` takes about 50 microseconds for each.
"""

from __future__ import annotations

import functools
import marshal
import operator
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from datasets import Dataset
    from lm_eval.api.task import Task

Item = dict[str, Any]
BLOCK = 1000  # rows that are read from a Dataset at a time
MOST = 50_000  # rows that are kept in memory; a Dataset is read from its file
SMALLEST, LARGEST = -(2**63), 2**63 - 1  # integers that Arrow can hold


class ItemTable(Sequence[Item]):
    """Items that are kept serialised, so that no reader can change them for the next one.

    Args:
        features: The fields, in order; their values are types where a Dataset gave them, else None.
        rows: The items, in the format of `marshal`.
        make_dataset: Returns a Dataset of the same items, for everything but reading single items.
    """

    def __init__(self, features: Mapping[str, Any], rows: Sequence[bytes], make_dataset: Callable[[], Dataset]) -> None:
        self.features = features
        self._rows = rows
        self._make_dataset = make_dataset

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The items as a Dataset."""
        return self._make_dataset()

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[Item]:
        return map(marshal.loads, self._rows)

    def __getitem__(self, key: Any) -> Any:
        if isinstance(key, slice | str | list | tuple | range):
            return self.dataset[key]
        return marshal.loads(self._rows[operator.index(key)])  # noqa: S302 - written by this process

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.dataset, name)


def item_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = ()) -> Dataset:
    """Return the items as a table in place of a Dataset, or as a Dataset if that changes a value, such as 1 to 1.0.

    Args:
        rows: The items.
        columns: Names of the fields, if there are no items.
    """

    def make_dataset() -> Dataset:
        from datasets import Dataset

        return Dataset.from_list([dict(row) for row in rows]) if rows else Dataset.from_dict({c: [] for c in columns})

    names = list(rows[0]) if rows else list(columns)
    if not all(row.keys() == rows[0].keys() for row in rows) or not all(
        _has_one_kind([row[name] for row in rows]) for name in names
    ):
        return make_dataset()
    plain = [{name: _as_list(row[name]) for name in names} for row in rows]
    table = ItemTable(dict.fromkeys(names), list(map(marshal.dumps, plain)), make_dataset)
    return cast("Dataset", table)


def _as_list(value: Any) -> Any:
    return list(value) if type(value) is tuple else value


def _has_one_kind(values: Sequence[Any]) -> bool:
    """Whether a Dataset returns these values unchanged: for example all text, or all lists of whole numbers.

    ``[1, 2.5]`` becomes ``[1.0, 2.5]``, and ``[{"a": 1}, {"b": 2}]`` gets further fields.
    """
    kinds = {type(value) for value in values if value is not None}
    if not kinds:
        return True
    if kinds <= {list, tuple}:
        inner = [each for value in values if value is not None for each in value]
        return not any(type(each) in (list, tuple) for each in inner) and _has_one_kind(inner)
    if len(kinds) > 1 or not kinds <= {str, int, float, bool}:
        return False
    if kinds == {int}:
        return all(value is None or SMALLEST <= value <= LARGEST for value in values)
    return kinds != {str} or _is_text("".join(value for value in values if value is not None))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def keep_items(task: Task) -> None:
    """Let a task read its evaluated items from a table instead of a Dataset.

    lm-eval also calls the task's `process_docs` each time it reads them; with the table that happens once.
    This is a run-time patch of one task object. Nothing changes for a task whose items are not a Dataset, or hold
    values other than text, numbers, lists and dictionaries. More than `MOST` items stay in their Dataset.
    """
    docs: Any = getattr(task, "task_docs", None)
    if not is_dataset(docs):
        return
    table = docs
    if len(docs) <= MOST:
        try:
            rows = [marshal.dumps(row) for row in rows_of(docs)]
        except ValueError:  # an image, a date
            return
        table = ItemTable(docs.features, rows, lambda: docs)
    setattr(task, "test_docs" if task.has_test_docs() else "validation_docs", lambda: table)


def is_dataset(docs: object) -> bool:
    """Whether `docs` is a `datasets.Dataset`, without importing that library."""
    datasets = sys.modules.get("datasets")
    return datasets is not None and isinstance(docs, datasets.Dataset)


def rows_of(docs: Dataset) -> Iterator[Item]:
    """Yield the items of a Dataset, read in blocks: a block is a dictionary of columns."""
    for start in range(0, len(docs), BLOCK):
        block = docs[start : start + BLOCK]
        names = list(block)
        for values in zip(*block.values(), strict=True):
            yield dict(zip(names, values, strict=True))
