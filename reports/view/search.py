"""Words that a reader types, as a query of SQLite's FTS5, and texts in the form that is indexed.

    fts_query('photo* "light energy"')     '"photo" * AND "light energy"'
    fts_query("逻辑")                      '"逻 辑"'

Every word is quoted, so nothing that a reader types is taken as FTS5's own syntax.
"""

from __future__ import annotations

import re

# FTS5 splits at spaces, and these scripts write none: each character becomes a word, and a word of them a phrase.
_UNSPACED = re.compile("([\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])")
_WORDS = re.compile(r'"([^"]*)"?|(\S+)')
_LETTER = re.compile(r"[^\W_]")  # FTS5 takes an underscore for a space


def searchable(text: str) -> str:
    """Return a text in the form that is indexed."""
    return text if text.isascii() else _UNSPACED.sub(r" \1 ", text)


def fts_query(words: str) -> str:
    """Return the query for texts that contain all words; empty if there is no letter or digit in them.

    Args:
        words: Words, phrases in double quotes, and beginnings of words that end in ``*``.
    """
    parts = []
    for quoted, word in _WORDS.findall(words.replace("\0", " ")):  # SQLite reads a query up to its first zero
        text = quoted or word
        if _LETTER.search(text):
            star = " *" if word.endswith("*") else ""
            bare = " ".join(searchable(text.rstrip("*") if star else text).replace('"', " ").split())
            parts.append(f'"{bare}"{star}')
    return " AND ".join(parts)
