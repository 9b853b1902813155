"""Text in lines of a given width, for terminals. Widths are in columns: a Chinese character takes two.

wrapped("Qwen3-0.6B-Base-text", 12)                       Qwen3-0.6B-
                                                          Base-text
wrapped("see docs/statistics.md", 12, whole_words=True)  see
                                                          docs/statistics.md
"""

from __future__ import annotations

import re

from rich.cells import cell_len, chop_cells

_WORDS = re.compile(r"\s*\S+")  # with the blanks before it
_PARTS = re.compile(r"[^-_/]*[-_/]+|[^-_/]+")  # Qwen3-0.6B-Base  ->  Qwen3-  0.6B-  Base


def wrapped(text: str, width: int, *, whole_words: bool = False) -> list[str]:
    """Return the lines of a text, at least one.

    Args:
        text: One line of text.
        width: Of the lines, 1 or more.
        whole_words: Keep a word that is wider than the lines, such as a path, in one piece.
    """
    if cell_len(text) <= width:
        return [text]
    lines = [""]
    for word in _WORDS.findall(text):
        _add(lines, word, width)
        if cell_len(lines[-1]) > width and not whole_words:
            long = lines.pop()
            lines.append("")
            for part in _PARTS.findall(long):
                for piece in chop_cells(part, width):
                    _add(lines, piece, width)
    return lines


def _add(lines: list[str], piece: str, width: int) -> None:
    """Add a piece to the last line, or to a new one if it does not fit there."""
    if lines[-1] and cell_len(lines[-1]) + cell_len(piece) > width:
        lines.append(piece.lstrip())
    else:
        lines[-1] += piece
