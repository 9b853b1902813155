"""Parts of a text with their marks: where it differs from another text, and where its answer was read.

marked("the answer is B", {"read": [(14, 15)]})
[Part(text="the answer is ", marks=""), Part(text="B", marks="read")]
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import pairwise
from typing import TypeAlias

Spans: TypeAlias = list[tuple[int, int]]
"""Half open, in characters."""

MOST_WORDS = 2_000  # words and punctuation marks; a text that repeats one word so often takes half a second
_TOKENS = re.compile(r"\s+|(?:\w+|[^\w\s])\s*")


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part of a text.

    Attributes:
        text: The characters.
        marks: CSS classes, separated by spaces; empty for none.
    """

    text: str
    marks: str


def differences(first: str, second: str) -> tuple[Spans, Spans] | None:
    """Return the words of each text that the other lacks at that place.

    Returns:
        Spans in the first and in the second text; None if a text is too long to compare word by word.
    """
    texts = (first, second)
    tokens = [list(_TOKENS.finditer(text)) for text in texts]
    if max(map(len, tokens)) > MOST_WORDS:  # the time grows with the square
        return None
    words = [[token[0] for token in own] for own in tokens]
    matcher = SequenceMatcher(None, words[0], words[1], autojunk=False)
    spans: tuple[Spans, Spans] = ([], [])
    for kind, *bounds in matcher.get_opcodes():
        for own, of_text, (start, end) in zip(tokens, spans, (bounds[:2], bounds[2:]), strict=True):
            if kind != "equal" and end > start:
                last = own[end - 1]
                of_text.append((own[start].start(), last.start() + len(last[0].rstrip())))
    return spans


def marked(text: str, marks: Mapping[str, Sequence[tuple[int, int]]]) -> list[Part]:
    """Cut a text where marks begin and end.

    Args:
        text: The text.
        marks: Spans by CSS class; they may overlap, and reach beyond the text.
    """
    ends = {min(max(at, 0), len(text)) for spans in marks.values() for span in spans for at in span}
    bounds = sorted({0, len(text), *ends})
    return [
        Part(
            text=text[start:end],
            marks=" ".join(name for name, spans in marks.items() if any(a <= start and end <= b for a, b in spans)),
        )
        for start, end in pairwise(bounds)
    ]
