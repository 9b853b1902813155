"""One samples file: the hashes and metric values of its items, read fast.

A line of ``samples_<task>_<time>.jsonl`` is mostly prompt and answers, and ends with what is wanted here. lm-eval
writes ``"filter"`` and what is wanted last, and a quote within a text is escaped, so the last occurrence of that key
is the key itself. Only that tail is parsed, and the document only where it names a cluster not seen before.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from harness.errors import RecordError

FloatArray: TypeAlias = npt.NDArray[np.float64]
Hashes: TypeAlias = npt.NDArray[np.bytes_]

_TAIL = b', "filter": '
_DOC = b'"doc": '
_CHOICE = b'"gen_args_'
_NOT_METRICS = frozenset(
    {
        "doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics", "doc_hash",
        "prompt_hash", "target_hash",
    }
)  # fmt: skip
_ITEMS_FOR_CHANCE = 1000


@dataclass(frozen=True, kw_only=True, eq=False)
class Items:
    """Rows of a samples file, one an item and filter, in the file's order.

    Attributes:
        doc_hash: lm-eval's digest of the document; items of two models are paired by it.
        prompt_hash: Of the prompt; another one is another question.
        target_hash: Of the expected answer.
        filter: Name of the filter, or one name for all rows.
        cluster: Cluster label of each row; None when the task names none.
        values: By metric, shape (rows,); NaN where an item has no number.
        guess: Mean over items of one over the number of choices; NaN where there are no choices.
    """

    doc_hash: Hashes
    prompt_hash: Hashes
    target_hash: Hashes
    filter: str | npt.NDArray[np.str_]
    cluster: npt.NDArray[np.str_] | None
    values: Mapping[str, FloatArray]
    guess: float

    def __len__(self) -> int:
        return int(self.doc_hash.size)

    def rows(self, filter_name: str) -> npt.NDArray[np.intp]:
        """Return the positions of the rows of one filter."""
        if isinstance(self.filter, str):
            return np.arange(len(self) if filter_name in (self.filter, "") else 0)
        return np.flatnonzero(self.filter == filter_name)


_NOTHING: Hashes = np.array([], dtype="S64")
NO_ITEMS = Items(
    doc_hash=_NOTHING,
    prompt_hash=_NOTHING,
    target_hash=_NOTHING,
    filter="none",
    cluster=None,
    values={},
    guess=math.nan,
)


def read_items(
    path: Path, *, rows: int | None = None, cluster: str = "", labels: dict[bytes, str] | None = None
) -> Items:
    """Read a samples file.

    Args:
        path: The file.
        rows: Rows each filter must have; None when not known.
        cluster: Field of the document that names its cluster; empty for none.
        labels: Labels by document digest, read from other files of the task; added to.

    Raises:
        RecordError: when it is missing, truncated or damaged.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        raise RecordError(
            f"{path}: missing; items are needed to compare: run `lm_eval` with --log_samples, restore it, or give "
            "--skip_broken."
        ) from None
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}); restore it, or give --skip_broken.") from None
    if lines[-1]:
        raise broken(path, f"line {len(lines)} is cut off")
    lines.pop()
    parsed = _parse(path, lines)
    items = _columns(path, lines, parsed, cluster, {} if labels is None else labels)
    names = [items.filter] if isinstance(items.filter, str) else list(dict.fromkeys(items.filter.tolist()))
    for name in names:
        found = items.rows(name).size
        if rows is not None and found != rows:
            raise broken(path, f"{found} items where its results file counts {rows}")
    return items


def broken(path: Path, what: str) -> RecordError:
    """Return the error of a file that is not whole."""
    return RecordError(f"{path}: {what}; the file is truncated or damaged. Restore it, or give --skip_broken.")


def _parse(path: Path, lines: Sequence[bytes]) -> list[dict[str, Any]]:
    tails = []
    for line in lines:
        at = line.rfind(_TAIL)
        tails.append(b"{" + line[at + 2 :] if at >= 0 else line)  # an older release wrote no filter: the whole line
    try:
        parsed: list[dict[str, Any]] = json.loads(b"[" + b",".join(tails) + b"]")
    except (ValueError, UnicodeDecodeError):
        raise broken(path, _first_fault(lines)) from None
    if parsed and "doc_hash" not in parsed[0]:
        raise broken(path, "line 1 lacks doc_hash")
    return parsed


def _first_fault(lines: Sequence[bytes]) -> str:
    for number, line in enumerate(lines, 1):
        try:
            json.loads(line)
        except ValueError as error:
            return f"line {number} is not JSON ({error})"
    return "it is not JSON lines"


def _columns(
    path: Path, lines: Sequence[bytes], parsed: Sequence[dict[str, Any]], cluster: str, labels: dict[bytes, str]
) -> Items:
    try:
        hashes = [
            np.array([row[key] for row in parsed], dtype="S64") for key in ("doc_hash", "prompt_hash", "target_hash")
        ]
    except KeyError as error:
        raise broken(path, f"an item lacks {error.args[0]}") from None
    filters = {row.get("filter", "none") for row in parsed}
    metrics = dict.fromkeys(name for row in parsed for name in row if name not in _NOT_METRICS)
    return Items(
        doc_hash=hashes[0],
        prompt_hash=hashes[1],
        target_hash=hashes[2],
        filter=filters.pop() if len(filters) == 1 else np.array([row.get("filter", "none") for row in parsed], str),
        cluster=_clusters(path, lines, hashes[0], cluster, labels) if cluster else None,
        values={name: np.array([_number(row.get(name)) for row in parsed]) for name in metrics},
        guess=_guess(lines),
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _guess(lines: Sequence[bytes]) -> float:
    counts = [line.count(_CHOICE) for line in lines[:_ITEMS_FOR_CHANCE]]
    return sum(1 / n for n in counts if n) / len(counts) if counts and max(counts) > 1 else math.nan


def _clusters(
    path: Path, lines: Sequence[bytes], doc_hashes: Hashes, field: str, labels: dict[bytes, str]
) -> npt.NDArray[np.str_]:
    decoder = json.JSONDecoder()
    found = []
    for line, digest in zip(lines, doc_hashes.tolist(), strict=True):
        label = labels.get(digest)
        if label is None:
            try:
                doc, _ = decoder.raw_decode(line[line.index(_DOC) + len(_DOC) :].decode())
                label = labels[digest] = str(doc[field])
            except (ValueError, KeyError, TypeError):
                raise broken(path, f"an item has no {field}, which names its cluster") from None
        found.append(label)
    return np.array(found, dtype=str)
