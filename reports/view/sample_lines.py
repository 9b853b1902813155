"""Lines of a samples file, one at a time: where each starts, and what the index keeps of it.

A file is never held as a whole. A line of it looks like this (see `harness.records.items`)::

    {"doc_id": 0, "doc": {...}, "target": "1", "arguments": {...}, "resps": [["text"]], ..., "filter": "none", ...}
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from harness.errors import MALFORMED, RecordError
from harness.reports.view.outcomes import CUT, UNPARSED

PREVIEW_CHARACTERS = 240
_QUESTIONS = ("question", "problem", "query", "goal", "sentence", "premise", "input", "text", "prompt")
# What a filter returns for a text without an answer: this project's, and lm-eval's.
_NO_ANSWER = ("[unparsed]", "[invalid]")
_LONGEST_VERDICT = 2_000_000  # characters; Python's parser needs about a hundred times as many bytes


def lines_of(path: Path) -> Iterator[tuple[int, bytes]]:
    """Yield the offset and the bytes of each line."""
    offset = 0
    with path.open("rb") as file:
        for line in file:
            yield offset, line
            offset += len(line)


def parsed(line: bytes, path: Path, where: str) -> dict[str, Any]:
    """Return a line as a dict.

    Args:
        line: The line.
        path: Its file, for the message.
        where: Its place in the file, for the message, such as "line 3".

    Raises:
        RecordError: It is not the JSON of an object.
    """
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            row = json.loads(line)  # NaN, and halves of characters, which orjson refuses
        except MALFORMED:
            raise _damaged(path, f"{where} is not JSON") from None
    if not isinstance(row, dict):
        raise _damaged(path, f"{where} is no object")
    return row


def _damaged(path: Path, problem: str) -> RecordError:
    """The error for a line that the report's tables do not need, so that --skip_broken does not leave its file out."""
    return RecordError(f"{path}: {problem}; the file is damaged. Restore it, or leave its folder or task out.")


def line_at(path: Path, offset: int) -> dict[str, Any]:
    """Read the line at an offset.

    Raises:
        RecordError: The file is missing, or has no line there.
    """
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return parsed(file.readline(), path, f"what stands at byte {offset}")
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror}); restore it.") from None


def flags_of(row: Mapping[str, Any]) -> int:
    """Return the flags of a line: input cut, no answer read."""
    cut = row.get("cut_tokens")
    flags = CUT if isinstance(cut, list) and any(cut) else 0
    answers = row.get("filtered_resps")
    first = answers[0] if isinstance(answers, list) and answers else None
    first = first[0] if isinstance(first, list) and first else first
    return flags | UNPARSED if row.get("unparsed") or (isinstance(first, str) and first in _NO_ANSWER) else flags


def generated_texts(row: Mapping[str, Any]) -> list[str]:
    """Return the generated texts of a line; none if its answers are log-likelihoods, pairs such as ["-1.5", "False"].

    One request is answered with ``[["first text", "second text"]]``, a text for each repeat.
    """
    requests = row.get("resps")
    if not isinstance(requests, list) or len(requests) != 1 or not isinstance(requests[0], list):
        return []
    return [text for text in requests[0] if isinstance(text, str)]


def verdicts_of(row: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return what the sandbox said of a line's programs: lists ``passed``, ``status``, ``detail`` and ``solutions``.

    lm-eval writes the answers of filters as text, so a dict stands there as Python writes it. Reading it runs nothing.
    """
    answers = row.get("filtered_resps")
    first = answers[0] if isinstance(answers, list) and answers else None
    if isinstance(first, str) and first.startswith("{'passed': ") and len(first) < _LONGEST_VERDICT:
        try:
            first = ast.literal_eval(first)
        except (*MALFORMED, SyntaxError, MemoryError):
            return {}
    keys = ("passed", "status", "detail", "solutions")
    if not isinstance(first, dict) or not all(isinstance(first.get(key), list) for key in keys):
        return {}
    return {key: first[key] for key in keys}


def document_text(row: Mapping[str, Any]) -> str:
    """Return all texts of a line's document and its target, for the search.

    Not the prompt: with few-shot examples, every item would contain the words of the examples.
    """
    return "\n".join([*_texts(row.get("doc")), str(row.get("target", ""))])


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in a value, in order; without recursion, because a document may be nested a thousand times."""
    waiting = [value]
    while waiting:
        part = waiting.pop()
        if isinstance(part, str):
            yield part
        elif isinstance(part, dict):
            waiting += reversed(part.values())
        elif isinstance(part, list):
            waiting += reversed(part)


def question_of(row: Mapping[str, Any]) -> str:
    """Return the question of a line's document; empty if it has no field for it."""
    doc = row.get("doc")
    named = doc if isinstance(doc, dict) else {"text": doc}
    texts = [value for key in _QUESTIONS if isinstance(value := named.get(key), str)]
    return next((text for text in texts if text.strip()), "")


def preview(row: Mapping[str, Any]) -> str:
    """Return the question in one line, for lists; the end of the prompt if the document has no field for it."""
    text = question_of(row)
    if text:
        return " ".join(text[: 2 * PREVIEW_CHARACTERS].split())[:PREVIEW_CHARACTERS]
    arguments = row.get("arguments")
    first = next(iter(arguments.values()), None) if isinstance(arguments, dict) else None
    prompt = next(iter(first.values()), "") if isinstance(first, dict) else ""
    return " ".join(str(prompt)[-2 * PREVIEW_CHARACTERS :].split())[-PREVIEW_CHARACTERS:]
