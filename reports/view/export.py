"""The items that match a filter as CSV or JSON lines, one after the other, so that a million need no memory.

CSV has one row per item and model, JSONL one object per item.
"""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from harness.reports.documents.tables import csv_cell
from harness.reports.view.details import Answer, Details
from harness.reports.view.filters import Filter, matches
from harness.reports.view.index import Index, Item

FORMATS = {"csv": "text/csv", "jsonl": "application/jsonl"}
CSV_COLUMNS = (
    "task", "doc_id", "doc_hash", "model", "outcome", "value", "cut", "unparsed", "prompt", "answer", "expected",
    "choices", "log_likelihoods", "text", "status", "detail", "metrics", "problem",
)  # fmt: skip
_BATCH = 100  # items in memory


def exported(index: Index, details: Details, wanted: Filter, kind: str, *, only: int | None = None) -> Iterator[str]:
    """Yield the text of an export in parts.

    Args:
        index: The index.
        details: Reads the answers.
        wanted: Which items and models; its page does not matter.
        kind: One of `FORMATS`.
        only: Number of the one item to export, whatever the filter; None for all items of the filter.

    Raises:
        RecordError: A samples file is missing, or has changed since the index was built.
    """
    written = _csv_rows if kind == "csv" else _json_lines
    head = _csv_line(CSV_COLUMNS) if kind == "csv" else ""
    numbers = matches(index, wanted).numbers.tolist() if only is None else [only]
    for start in range(0, max(1, len(numbers)), _BATCH):
        items = index.items(numbers[start : start + _BATCH])
        yield head + "".join(written(item, details.answers(item, wanted.models)) for item in items)
        head = ""


def _csv_rows(item: Item, answers: Sequence[Answer]) -> str:
    return "".join(_csv_line(_csv_row(item, answer)) for answer in answers)


def _csv_row(item: Item, answer: Answer) -> list[Any]:
    """Lists of choices and metrics are JSON; the texts of several repeats, and their verdicts, are paragraphs."""
    sample = answer.sample
    content = [sample.prompt, sample.answer, sample.target] if sample is not None else ["", "", ""]
    choices = [sample.choices, _finite(sample.log_likelihoods)] if sample is not None and sample.choices else []
    repeats = [answer.texts, [one.status for one in answer.programs], [one.detail for one in answer.programs]]
    return [
        item.task, item.doc_id, item.digest,
        answer.model, answer.outcome, answer.value, answer.cut, answer.unparsed,
        *content,
        *([json.dumps(one, ensure_ascii=False) for one in choices] or ["", ""]),
        *("\n\n".join(one) for one in repeats),
        json.dumps(_metrics(answer)) if answer.metrics else "",
        answer.problem,
    ]  # fmt: skip


def _csv_line(cells: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow([csv_cell(cell) for cell in cells])
    return out.getvalue()


def _json_lines(item: Item, answers: Sequence[Answer]) -> str:
    """One line; the document, the prompt and the choices are those of the first model that has a line."""
    first = next((answer for answer in answers if answer.sample is not None), None)
    shared: dict[str, Any] = {}
    if first is not None and first.sample is not None:
        sample = first.sample
        shared = {
            "doc": first.row.get("doc"),
            "prompt": sample.prompt,
            "choices": list(sample.choices),
            "expected": sample.target,
        }
    content = {
        "task": item.task,
        "doc_id": item.doc_id,
        "doc_hash": item.digest,
        **shared,
        "answers": [_json_answer(answer) for answer in answers],
    }
    return json.dumps(content, ensure_ascii=False, default=str).encode(errors="replace").decode() + "\n"


def _json_answer(answer: Answer) -> dict[str, Any]:
    sample = answer.sample
    known = {name: getattr(answer, name) for name in ("model", "outcome", "value", "cut", "unparsed")}
    if sample is None:
        return known | ({"problem": answer.problem} if answer.problem else {})
    return {
        **known,
        "answer": sample.answer,
        "log_likelihoods": _finite(sample.log_likelihoods),
        "texts": list(answer.texts),
        "programs": [asdict(one) for one in answer.programs],
        "metrics": _metrics(answer),
    }


def _metrics(answer: Answer) -> dict[str, float | None]:
    return dict(zip(answer.metrics, _finite(list(answer.metrics.values())), strict=True))


def _finite(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]
