r"""Text of a document as LaTeX, and how wide it is when it is set: a name must not break the page, or the column.

    escaped("a_b | c")                      a\_b \textbar{} c
    breakable("training/step-5", 40.0)      training/\allowbreak{}step-\allowbreak{}5
    width("step-5")                         22.7, in points at \footnotesize

pdfLaTeX stops at a character that it does not know, such as Chinese. Such characters are written as
``\pdftexlacks{characters}{U+903B}``: LuaLaTeX and XeLaTeX show the first, pdfLaTeX the second.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import groupby

from harness.visible import visible

_LETTERS = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"$<$", ">": r"$>$", "|": r"\textbar{}",
    "`": r"\textasciigrave{}", "\N{MINUS SIGN}": "$-$", "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$",
    "∞": r"$\infty$",
    # At the beginning of a row, LaTeX would take them as an option of the line before.
    "[": "{[}", "*": "{*}",
}  # fmt: skip
# What pdfLaTeX knows without a package, in its default encoding: Latin letters but these, and some signs.
_UNKNOWN_LATIN = frozenset("«»ÐÞðþĄąĐđĘęĦħĮįĸĿŀŉŊŋŦŧŲųſ\xad")
_KNOWN_SIGNS = frozenset("‐‑‒–—―‖‘’“”†‡•…‰€™→←↑↓")
_BEYOND = "pdftexlacks"
# The definition that a text with such characters needs.
DEFINITION = (
    "% Characters that pdfLaTeX lacks are shown as numbers; LuaLaTeX and XeLaTeX show them if the font has them.\n"
    rf"\providecommand{{\{_BEYOND}}}[2]{{\ifdefined\Umathchar#1\else#2\fi}}"
)

# Widths of Computer Modern at 8 pt, in points, rounded up; capitals and others are as wide as _WIDE.
_WIDTHS = {
    letter: points
    for letters, points in (
        ("!',.:;[]`il|", 2.4), ("fj-", 2.9), ("_()I ", 3.4), ("rst", 3.4), ("cez", 3.8),
        ("?\"*/0123456789ago{}\\^~J$", 4.4),
        ("bdhkpqnuvxyS", 4.8), ("LZFEP", 5.8), ("wBCT", 6.2), ("m#%", 7.1), ("M", 7.8), ("W", 8.8),
    )
    for letter in letters
}  # fmt: skip
_WIDE = 6.7
_BOLD = 1.17  # a bold letter per light one
_BREAKS = re.compile(r"(?<=[_\-/.:=,+ ])")


def escaped(words: str) -> str:
    """Return words as LaTeX shows them, in one line."""
    shown = unicodedata.normalize("NFC", visible(words, one_line=True))
    return "".join(
        _known("".join(letters)) if known else _beyond("".join(letters)) for known, letters in groupby(shown, _is_known)
    )


def is_beyond(text: str) -> bool:
    """Whether LaTeX text needs `DEFINITION`."""
    return rf"\{_BEYOND}{{" in text


def with_definition(text: str) -> str:
    """Return LaTeX text, with `DEFINITION` before it if it needs that."""
    return f"{DEFINITION}\n{text}" if is_beyond(text) else text


def breakable(words: str, limit: float, *, bold: bool = False) -> str:
    """Return words as LaTeX may break them after ``_-/.:=,+``, and anywhere in a part that is wider than `limit`."""
    return r"\allowbreak{}".join(escaped(part) for part in _parts(words, limit, bold=bold))


def lines(words: str, limit: float, *, bold: bool = False) -> int:
    """Return how many lines `breakable` words take, each at most `limit` points wide."""
    count, used = 1, 0.0
    for part in _parts(words, limit, bold=bold):
        size = width(part, bold=bold)
        if used and used + size > limit:
            count, used = count + 1, 0.0
        used += size
    return count


def width(words: str, *, bold: bool = False) -> float:
    r"""Return about how wide words are at \footnotesize, in points; rather too wide than too narrow."""
    letters = sum(map(_letter_width, visible(words, one_line=True)))
    return letters * _BOLD if bold else letters


def pieces(words: str) -> list[str]:
    """Return the parts of words between which a line may be broken."""
    return [part for part in _BREAKS.split(visible(words, one_line=True)) if part]


def _parts(words: str, limit: float, *, bold: bool) -> list[str]:
    parts = []
    for piece in pieces(words):
        part = ""
        for letter in piece:
            if part and width(part + letter, bold=bold) > limit:
                parts.append(part)
                part = ""
            part += letter
        parts.append(part)
    return parts


def _letter_width(letter: str) -> float:
    if _is_known(letter):
        return _WIDTHS.get(unicodedata.normalize("NFD", letter)[0], _WIDE)
    return sum(map(_letter_width, _number(letter))) + _WIDTHS[" "]


def _known(words: str) -> str:
    """Return words without the letters that LaTeX would join: ``--`` would be a dash, ``''`` a quotation mark."""
    written = "".join(_LETTERS.get(letter, letter) for letter in words)
    return re.sub(r"(?<=([-',]))(?=\1)", "{}", written)


def _beyond(letters: str) -> str:
    return rf"\{_BEYOND}{{{letters}}}{{{' '.join(map(_number, letters))}}}"


def _is_known(letter: str) -> bool:
    if letter in _LETTERS or letter in _KNOWN_SIGNS or letter < "\x7f":
        return True
    return "\xa1" <= letter <= "\u017f" and letter not in _UNKNOWN_LATIN


def _number(letter: str) -> str:
    return f"U+{ord(letter):04X}"
