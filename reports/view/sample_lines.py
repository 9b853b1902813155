"""Lines of a samples file, one at a time: where each starts, and what the index keeps of it.

A file of today's layout is never held as a whole. A line of it looks like this (see `harness.records.items`)::

    {"doc_id": 0, "doc": {...}, "target": "1", "arguments": {...}, "resps": [["text"]], ..., "filter": "none", ...}
"""

from __future__ import annotations

import ast
import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from harness.errors import MALFORMED, RecordError
from harness.records.items import damaged_file
from harness.records.older_layouts import SamplesFile, is_today, iterate_lines
from harness.reports.view.outcomes import CUT, UNPARSED

PREVIEW_CHARACTERS = 240
CONVERTED_KEPT = 4  # files of older layouts that are kept in memory, converted
_QUESTIONS = (
    "question", "problem", "query", "goal", "sentence", "premise", "input", "text", "prompt", "program_prompt",
)  # fmt: skip
# What a filter returns for a text without an answer: this project's, and lm-eval's.
_NO_ANSWER = ("[unparsed]", "[invalid]")
_LONGEST_VERDICT = 2_000_000  # characters; Python's parser needs about a hundred times as many bytes


def lines_of(file: SamplesFile) -> Iterator[tuple[int, bytes]]:
    """Yield offset and bytes of each line; of a file of an older layout, those of the converted text."""
    offset = 0
    for line in iterate_lines(file):
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
            raise damaged_file(path, f"{where} is not JSON") from None
    if not isinstance(row, dict):
        raise damaged_file(path, f"{where} is no object")
    return row


def line_at(file: SamplesFile, offset: int) -> dict[str, Any]:
    """Read the line at an offset that `lines_of` gave.

    Raises:
        RecordError: The file is missing, or has no line there.
    """
    try:
        with file.path.open("rb") as opened:
            if is_today(opened.readline()):
                opened.seek(offset)
                line = opened.readline()
            else:
                lines = _converted(file.path, os.fstat(opened.fileno()).st_mtime_ns, file.filters)
                line = lines[offset : lines.find(b"\n", offset) + 1]
    except OSError as error:
        raise RecordError(f"{file.path}: cannot be read ({error.strerror}); restore it.") from None
    return parsed(line, file.path, f"what stands at byte {offset}")


@functools.lru_cache(CONVERTED_KEPT)
def _converted(path: Path, _changed: int, filters: tuple[str, ...]) -> bytes:
    """Return a file of an older layout as lines of today's."""
    return b"".join(iterate_lines(SamplesFile(path=path, filters=filters)))


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
