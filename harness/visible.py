r"""Text of strangers on a terminal: names, prompts, paths and messages, without power over the terminal.

Characters that would control it are shown as escapes::

    visible("a\x1b[2Jb")      "a\\u001b[2Jb", which does not clear the screen
    visible("cba\u202ex")     "cba\\u202ex", which does not turn the text around
"""

from __future__ import annotations

import re
from typing import TextIO

# Control characters, line and paragraph separators, what changes the direction of text, and halves of characters.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufeff]")


def visible(text: object, *, one_line: bool = False) -> str:
    """Return `text` with characters that would control a terminal as escapes; line ends and tabs only if `one_line`."""
    words = _CONTROLS.sub(_escape, str(text))
    return words.replace("\n", "\\n").replace("\t", "\\t") if one_line else words


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"  # an escape that JSON within a page has too


def say(text: object = "", *, file: TextIO | None = None) -> None:
    """Print a line, on standard output unless `file` is given, with `visible` text."""
    print(visible(text), file=file)
