"""Read the hashes and metric values of a samples file, fast.

A line of ``samples_<task>_<time>.jsonl`` is mostly prompt and answers; lm-eval writes the part needed here last::

    {"doc_id": 0, "doc": {...}, "arguments": {...}, ..., "filter": "none", "metrics": ["acc"], ..., "acc": 1.0}
                                                         ^ parsed from here

A quote within a text is escaped, so the last ``, "filter": `` of a line is the key and not part of a text. Only this
tail is parsed. The document is parsed only if its cluster label is not known yet.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.errors import MALFORMED, RecordError, one_line
from harness.records.older_layouts import SamplesFile, is_today, sample_lines

FloatArray: TypeAlias = npt.NDArray[np.float64]
Hashes: TypeAlias = npt.NDArray[np.bytes_]

_TAIL = b', "filter": '
_DOC = b'"doc": '
_CHOICE = b'"gen_args_'
NOT_METRICS = frozenset(
    {
        "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash",
        "prompt_hash", "target_hash", "cut_tokens", "encoded_apart",
    }
)  # fmt: skip
_ITEMS_FOR_CHANCE = 1000
BLOCK_BYTES = 8_000_000  # of a file that are held at once
_NUMBERS = frozenset({float, int, bool, type(None)})
_HASHES = ("doc_hash", "prompt_hash", "target_hash")
_HASH = rb'"%b": "(?P<%b>[0-9a-f]{64})", '
_LAYOUT = re.compile(
    rb'"filter": "(?P<filter>[^"\\\\]*)", "metrics": \[[^\]]*\], '
    + b"".join(_HASH % (n, n) for n in map(str.encode, _HASHES))
)


@dataclass(frozen=True, kw_only=True, eq=False)
class ItemTable:
    """The rows of a samples file, one per item and filter, in the file's order.

    Attributes:
        doc_hash: lm-eval's digest of the document; it pairs the items of two models.
        prompt_hash: Digest of the prompt; it differs if two models saw different prompts.
        target_hash: Digest of the expected answer.
        filter: Filter name of each row, or one name for all rows.
        cluster: Cluster label of each row; None if the task has no clusters.
        values: By metric, shape (rows,); NaN for items without a value.
        guess: Mean over items of 1 / number of choices; NaN if there are no choices.
        faults: By metric, why its values are damaged; they are NaN then.
    """

    doc_hash: Hashes
    prompt_hash: Hashes
    target_hash: Hashes
    filter: str | npt.NDArray[np.str_]
    cluster: npt.NDArray[np.str_] | None
    values: Mapping[str, FloatArray]
    guess: float
    faults: Mapping[str, str] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.doc_hash.size)

    def rows(self, filter_name: str) -> npt.NDArray[np.intp]:
        """Return the positions of the rows of one filter."""
        if isinstance(self.filter, str):
            return np.arange(len(self) if filter_name in (self.filter, "") else 0)
        return np.flatnonzero(self.filter == filter_name)


_NOTHING: Hashes = np.array([], dtype="S64")
NO_ITEMS = ItemTable(
    doc_hash=_NOTHING,
    prompt_hash=_NOTHING,
    target_hash=_NOTHING,
    filter="none",
    cluster=None,
    values={},
    guess=math.nan,
)


def read_item_table(
    file: SamplesFile,
    *,
    cluster: str = "",
    labels: dict[bytes, str] | None = None,
    guess: bool = False,
) -> ItemTable:
    """Read a samples file.

    Args:
        file: The file, and the number of rows that each filter must have.
        cluster: Field of the document with its cluster label; empty for no clusters.
        labels: Known labels by document digest, from other files of the task; new ones are added.
        guess: Count the choices, for `ItemTable.guess`.

    Raises:
        RecordError: The file is missing, truncated or damaged.
    """
    parts: list[ItemTable] = []
    choices: list[int] = []
    labels = {} if labels is None else labels
    for block in _blocks(file):
        columns = _columns(block)
        of_clusters = _clusters(block, columns["doc_hash"], cluster, labels) if cluster else None
        parts.append(ItemTable(**columns, cluster=of_clusters, guess=math.nan))
        if guess:
            choices += _choice_counts(block, _ITEMS_FOR_CHANCE - len(choices))
    items = _joined(parts, _guess(choices))
    filters = [items.filter] if isinstance(items.filter, str) else list(dict.fromkeys(items.filter.tolist()))
    for name in filters:
        count = items.rows(name).size
        if file.rows is not None and count != file.rows:
            raise damaged_file(file.path, f"{count} items, but its results file has {file.rows}")
    return items


def _joined(parts: Sequence[ItemTable], guess: float) -> ItemTable:
    """Return the tables of a file's blocks as one table."""
    values: dict[str, FloatArray] = {}
    for name in dict.fromkeys(name for part in parts for name in part.values):
        values[name] = np.concatenate([part.values.get(name, np.full(len(part), math.nan)) for part in parts])
    # A metric writes a number for every item, or for none, such as BLEU with its pairs of texts.
    odd: dict[str, str] = {}
    for part in reversed(parts):
        odd |= part.faults
    names = {part.filter if isinstance(part.filter, str) else None for part in parts}
    one = names.pop() if len(names) == 1 else None
    clusters = [part.cluster for part in parts if part.cluster is not None]
    return ItemTable(
        doc_hash=np.concatenate([part.doc_hash for part in parts]),
        prompt_hash=np.concatenate([part.prompt_hash for part in parts]),
        target_hash=np.concatenate([part.target_hash for part in parts]),
        filter=one if one is not None else np.concatenate([_filters(part) for part in parts]),
        cluster=np.concatenate(clusters) if clusters else None,
        values=values,
        guess=guess,
        faults={name: fault for name, fault in odd.items() if np.isfinite(values[name]).any()},
    )


def _filters(part: ItemTable) -> npt.NDArray[np.str_]:
    return np.full(len(part), part.filter) if isinstance(part.filter, str) else part.filter


def damaged_file(path: Path, problem: str) -> RecordError:
    """Return the error for a truncated or damaged file."""
    return RecordError(f"{path}: {problem}; the file is truncated or damaged. Restore it, or give --skip_broken.")


@dataclass(frozen=True, kw_only=True)
class _Block:
    """Some lines of a samples file.

    Attributes:
        path: The file.
        first_line: Number of the first line, from 1.
        data: The lines.
        bounds: Start of each line, start of its tail (after comma and space), and its end.
    """

    path: Path
    first_line: int
    data: bytes
    bounds: Sequence[tuple[int, int, int]]


def _blocks(file: SamplesFile) -> Iterator[_Block]:
    """Yield the lines of a file in blocks, so that a file of any size needs little memory. An empty file is a block."""
    path, first_line = file.path, 1
    try:
        with path.open("rb") as opened:
            while (data := opened.read(BLOCK_BYTES)) or first_line == 1:
                data += opened.readline()
                if first_line == 1 and not is_today(data[: data.find(b"\n") + 1]):
                    data = _in_todays_layout(file, data + opened.read())
                block = _Block(path=path, first_line=first_line, data=data, bounds=_line_bounds(path, first_line, data))
                yield block
                first_line += max(1, len(block.bounds))
    except FileNotFoundError:
        raise RecordError(
            f"{path}: missing, but comparisons need the items; run `lm_eval` with --log_samples, restore the file, or "
            "give --skip_broken."
        ) from None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}); restore it, or give --skip_broken.") from None


def _in_todays_layout(file: SamplesFile, data: bytes) -> bytes:
    try:
        return sample_lines(file, data)
    except ValueError as error:
        raise damaged_file(file.path, str(error)) from None


def _line_bounds(path: Path, first_line: int, data: bytes) -> list[tuple[int, int, int]]:
    bounds, start, end = [], 0, data.find(b"\n")
    while end >= 0:
        at = data.rfind(_TAIL, start, end)
        bounds.append((start, at + 2 if at >= 0 else start + 1, end))  # no filter: parse the line
        start, end = end + 1, data.find(b"\n", end + 1)
    if start < len(data):
        raise damaged_file(path, f"line {first_line + len(bounds)} is cut off")
    return bounds


def _columns(block: _Block) -> dict[str, Any]:
    """Hashes, filter and values: by position if all lines have the same layout, else by parsing every tail."""
    return _by_position(block) or _by_parsing(block)


def _by_position(block: _Block) -> dict[str, Any] | None:
    """Slice the hashes at the first line's positions; None unless all other bytes of the heads are equal in all lines.

    All hashes have 64 digits, so the head of every tail usually has the same width. The heads form a matrix of bytes,
    one row per line, from which each hash is a block of columns. So the hashes, most of a tail, are not parsed as JSON.
    """
    # The head of a tail, as lm-eval writes it; a hash has 64 digits, so that it stands at the same place in every line:
    #     "filter": "none", "metrics": ["acc"], "doc_hash": "3b9e...", "prompt_hash": "07aa...", ...
    data, bounds = block.data, block.bounds
    layout = _LAYOUT.match(data[bounds[0][1] : bounds[0][2]]) if bounds else None
    if layout is None:
        return None
    # Three lines with heads of 4 bytes, "a1b," "a2b," "a3b,", become the matrix
    #     a 1 b ,
    #     a 2 b ,
    #     a 3 b ,
    # The columns around the hash, here 0, 2 and 3, must hold the same byte in all rows. If one line differs, because a
    # key stands elsewhere or is missing, its positions are wrong: nothing is sliced, and every tail is parsed.
    width = layout.end()
    heads = b"".join([data[at : at + width] for _, at, _ in bounds])
    if len(heads) != width * len(bounds):
        return None
    matrix = np.frombuffer(heads, dtype=np.uint8).reshape(len(bounds), width)
    around = np.ones(width, dtype=np.bool_)
    for name in _HASHES:
        around[slice(*layout.span(name))] = False
    if not (matrix[:, around] == matrix[0, around]).all():
        return None
    # What follows the heads is parsed in one call, which is faster than one call per line:
    #     '"acc": 1.0}' and '"acc": 0.0}'  ->  '[{"acc": 1.0},{"acc": 0.0}]'
    try:
        rows = json.loads(b"[{" + b",{".join([data[at + width : end] for _, at, end in bounds]) + b"]")
    except MALFORMED:
        return None  # `_by_parsing` raises an error that names the line
    hashes = {name: np.ascontiguousarray(matrix[:, slice(*layout.span(name))]).view("S64").ravel() for name in _HASHES}
    return {**hashes, "filter": json.loads(b'"' + layout["filter"] + b'"'), **_values(rows, block.first_line)}


def _by_parsing(block: _Block) -> dict[str, Any]:
    tails = [block.data[at:end] for _, at, end in block.bounds]
    try:
        rows: list[dict[str, Any]] = json.loads(b"[{" + b",{".join(tails) + b"]") if tails else []
    except MALFORMED:
        raise damaged_file(block.path, _first_fault(block)) from None
    try:
        hashes = {name: np.array([row[name] for row in rows], dtype="S64") for name in _HASHES}
        filters = {row.get("filter", "none") for row in rows} or {"none"}
        one = filters.pop() if len(filters) == 1 else np.array([row.get("filter", "none") for row in rows], dtype=str)
        return {**hashes, "filter": one, **_values(rows, block.first_line)}
    except KeyError as error:
        raise damaged_file(block.path, f"an item lacks {error.args[0]}") from None
    except MALFORMED as error:
        problem = f"a field is not what lm-eval writes there ({one_line(error, max_characters=100)})"
        raise damaged_file(block.path, problem) from None


def _values(rows: Sequence[Mapping[str, Any]], first_line: int) -> dict[str, Any]:
    """Return the values of each metric as floats, NaN where an item has none, and the first that is no number."""
    names = dict.fromkeys(name for keys in {tuple(row) for row in rows} for name in keys if name not in NOT_METRICS)
    columns = {name: [row.get(name) for row in rows] for name in names}
    odd = {name: message for name, column in columns.items() if (message := _odd_value(name, column, first_line))}
    return {"values": {name: _numbers(column) for name, column in columns.items()}, "faults": odd}


def _odd_value(name: str, column: Sequence[Any], first_line: int) -> str:
    """Name the first value that is no number; an empty string if all are."""
    if set(map(type, column)) <= _NUMBERS:
        return ""
    at = next(at for at, value in enumerate(column) if type(value) not in _NUMBERS)
    return f"line {first_line + at}: {name} is {column[at]!r:.40}, not a number"


def _numbers(column: list[Any]) -> FloatArray:
    """The column as floats. A metric over the whole corpus, such as BLEU, has a pair at every item: all NaN here."""
    if not set(map(type, column)) <= _NUMBERS:
        column = [value if isinstance(value, int | float) else None for value in column]
    return np.array(column, dtype=np.float64)


def _first_fault(block: _Block) -> str:
    for number, (start, _, end) in enumerate(block.bounds, block.first_line):
        try:
            json.loads(block.data[start:end])
        except MALFORMED as error:
            return f"line {number} is not JSON ({one_line(error, max_characters=100)})"
    return "it is not JSON lines"


def _choice_counts(block: _Block, most: int) -> list[int]:
    """Return the number of choices of each of the first items, at most `most` of them."""
    data, bounds = block.data, block.bounds[: max(0, most)]
    # With acc_mutual_info each choice is asked about twice, once without its context.
    times = 2 if bounds and b'"acc_mutual_info' in data[bounds[0][1] : bounds[0][2]] else 1
    return [data.count(_CHOICE, start, end) // times for start, _, end in bounds]


def _guess(counts: Sequence[int]) -> float:
    return sum(1 / n for n in counts if n) / len(counts) if counts and max(counts) > 1 else math.nan


def _clusters(block: _Block, doc_hashes: Hashes, field: str, labels: dict[bytes, str]) -> npt.NDArray[np.str_]:
    decoder = json.JSONDecoder()
    cluster_labels = []
    for (start, _, end), digest in zip(block.bounds, doc_hashes.tolist(), strict=True):
        label = labels.get(digest)
        if label is None:
            try:
                doc, _ = decoder.raw_decode(block.data[block.data.index(_DOC, start, end) + len(_DOC) : end].decode())
                label = labels[digest] = str(doc[field])
            except (ValueError, KeyError, TypeError):
                raise damaged_file(block.path, f"an item lacks the field {field}, its cluster label") from None
        cluster_labels.append(label)
    return np.array(cluster_labels, dtype=str)
