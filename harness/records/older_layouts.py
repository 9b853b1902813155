"""Read folders that older releases of lm-eval wrote, by converting them to today's layout in memory.

    0.4.0 to 0.4.2   DIR/results.json, DIR/pretrained__org__name_TASK.jsonl        no time, samples as one JSON array
    until 0.4.3      DIR/MODEL/results_TIME.json, .../samples_TASK_TIME.json       samples as one JSON array
    today            DIR/MODEL/results_TIME.json, .../samples_TASK_TIME.jsonl      one line per sample, with digests

All mixtures of these file names and contents are read. Older samples have no digests of their documents, so these are
computed as lm-eval does today; such runs are paired with today's item by item. Before 0.4.0, lm-eval kept no samples:
its results are read, but nothing that needs items works on them.

Sources: `lm_eval/__main__.py` of 0.4.0 and 0.4.2, `lm_eval/evaluator.py` of 0.4.13 (digests).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from harness.errors import MALFORMED, one_line

FLAT_NAME = "results.json"
_FLAT_START = re.compile(rb'\s*\{\s*"results"\s*:\s*\{')
_BEFORE_METRICS = ("doc_id", "doc", "target", "arguments", "resps", "filtered_resps", "filter", "metrics")
_DIGESTS = ("doc_hash", "prompt_hash", "target_hash")
_NUMBERS = (int, float)


@dataclass(frozen=True, kw_only=True)
class SamplesFile:
    """A samples file, and what its rows may lack.

    Attributes:
        path: The file.
        filters: Names of the task's filters in the order of its metrics; rows before 0.4.3 do not name theirs.
        rows: Rows per filter; None if not recorded.
    """

    path: Path
    filters: tuple[str, ...] = ("none",)
    rows: int | None = None


def is_flat_results(file: Path) -> bool:
    """Return whether a ``results.json`` is one of lm-eval's; other programs use that name too."""
    try:
        with file.open("rb") as opened:
            return _FLAT_START.match(opened.read(200)) is not None
    except OSError:
        return False


def time_of(file: Path, contents: Mapping[str, Any]) -> str:
    """Return the time of a run without one in its file name: its recorded date, else the file's last change."""
    date = contents.get("date")
    moment = date if isinstance(date, _NUMBERS) else file.stat().st_mtime
    return datetime.fromtimestamp(moment).isoformat().replace(":", "-")


def as_today(contents: Mapping[str, Any]) -> dict[str, Any]:
    """Return the contents of a results file with the keys of today's.

    Releases before 0.4.0 wrote ``{"acc": 0.5, "acc_stderr": 0.1}``, today's write ``{"acc,none": 0.5, ...}``; they also
    lacked ``configs``.
    """
    results = {task: {_with_filter(key, value): value for key, value in values.items()} for task, values in
               contents["results"].items()}  # fmt: skip
    return {**contents, "results": results, "configs": contents.get("configs", {task: {} for task in results})}


def _with_filter(key: str, value: object) -> str:
    counted = key in ("samples", "sample_len", "sample_count")
    is_metric = isinstance(value, _NUMBERS) and not isinstance(value, bool) and "," not in key and not counted
    return f"{key},none" if is_metric else key


def find_samples(results: Path, task: str, time: str, model_args: object) -> Path:
    """Return the samples file of a task: under today's name, or under the older one that exists.

    Args:
        results: The results file.
        task: The task.
        time: Time of the run.
        model_args: As recorded; older names contain them.
    """
    today = results.with_name(f"samples_{task}_{time}.jsonl")
    arguments = re.sub("/|=", "__", model_args) if isinstance(model_args, str) else ""
    older = [f"samples_{task}_{time}.json", f"{arguments}_{task}.jsonl"]
    found = (results.with_name(name) for name in older if len(name.encode(errors="replace")) < 256)
    return today if today.exists() else next((path for path in found if path.is_file()), today)


def is_today(first_line: bytes) -> bool:
    """Return whether a samples file with this first line needs no conversion; a damaged line is reported elsewhere."""
    if first_line[:1] == b"[":
        return False
    if b'"doc_hash": ' in first_line:
        return True
    try:
        row = json.loads(first_line)
    except MALFORMED:
        return True
    return not (isinstance(row, dict) and {"doc_id", "doc", "target", "arguments"} <= row.keys())


def sample_lines(file: SamplesFile, data: bytes) -> bytes:
    """Return the contents of a samples file as lines of today's layout; today's are returned as they are.

    Raises:
        ValueError: It is no JSON, or not what lm-eval writes; the message says what is wrong.
    """
    if is_today(data[: data.find(b"\n") + 1]):
        return data
    try:
        rows = json.loads(data) if data[:1] == b"[" else [json.loads(line) for line in data.splitlines()]
        seen: Counter[Any] = Counter()
        lines = []
        for row in rows:
            lines.append(json.dumps(_row(row, file.filters, seen[row["doc_id"]]), ensure_ascii=False) + "\n")
            seen[row["doc_id"]] += 1
        return "".join(lines).encode()
    except KeyError as error:
        raise ValueError(f"an item lacks {error.args[0]}") from None
    except MALFORMED as error:
        raise ValueError(f"it is not JSON as lm-eval writes it ({one_line(error, max_characters=100)})") from None


def iterate_lines(file: SamplesFile) -> Iterator[bytes]:
    """Yield the lines of a samples file in today's layout.

    Raises:
        OSError: It cannot be read.
        ValueError: As `sample_lines`.
    """
    with file.path.open("rb") as opened:
        first = opened.readline()
        if is_today(first):
            yield first
            yield from opened
        else:
            yield from sample_lines(file, first + opened.read()).splitlines(keepends=True)


def _row(row: Mapping[str, Any], filters: Sequence[str], turn: int) -> dict[str, Any]:
    """Return a row in today's layout.

    Older releases list all items of the first filter, then all of the second, without saying which::

        doc_id 0, doc_id 1, doc_id 0, doc_id 1      the second occurrence of an item is of the second filter
    """
    arguments = row["arguments"]
    if isinstance(arguments, list):
        arguments = {f"gen_args_{i}": {f"arg_{j}": one for j, one in enumerate(request)} for i, request in
                     enumerate(arguments)}  # fmt: skip
    own = {key: value for key, value in row.items() if key not in (*_BEFORE_METRICS, *_DIGESTS)}
    return {
        "doc_id": row["doc_id"],
        "doc": row["doc"],
        "target": str(row["target"]),
        "arguments": arguments,
        "resps": row["resps"],
        "filtered_resps": row["filtered_resps"],
        "filter": row.get("filter", filters[min(turn, len(filters) - 1)]),
        "metrics": row.get("metrics", list(own)),
        "doc_hash": _digest(json.dumps(row["doc"], indent=2, ensure_ascii=False)),
        "prompt_hash": _digest(arguments["gen_args_0"]["arg_0"]),
        "target_hash": _digest(str(row["target"])),
        **own,
    }


def _digest(text: str) -> str:
    """Return what lm-eval's `hash_string` returns."""
    return hashlib.sha256(text.encode()).hexdigest()
