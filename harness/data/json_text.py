"""Parse JSON that somebody else wrote: one rule for what is refused, for task data and for training data."""

from __future__ import annotations

import codecs
import json
from typing import Any

MAX_LINE_BYTES = 1 << 26  # a longer line means another kind of file, which would be read whole


def parsed(text: bytes) -> Any:
    """Return the value of a JSON text in UTF-8.

    Raises:
        ValueError: It is not JSON or not UTF-8, has a number that is too long, or has a lone surrogate, which is not a
            character and which tokenizers reject.
        RecursionError: It is nested too deep.
    """
    value = json.loads(text)
    if b"\\ud" in text.lower():
        json.dumps(value, ensure_ascii=False).encode()
    return value


def is_blank(line: bytes) -> bool:
    """Return whether a line holds no record: white space, after a byte order mark on the first line."""
    return not line.removeprefix(codecs.BOM_UTF8).strip()


def reason(error: Exception) -> str:
    """Return in a few words why `parsed` refused a text."""
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    if isinstance(error, UnicodeEncodeError):
        return "a lone surrogate"
    return "not UTF-8" if isinstance(error, UnicodeDecodeError) else str(error)[:160]
