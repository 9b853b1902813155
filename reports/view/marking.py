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

MOST_WORDS = 3_000
_TOKENS = re.compile(r"\w+|\s+|[^\w\s]")


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
    if max(map(len, tokens)) > 2 * MOST_WORDS:  # the time grows with the square; half of the tokens are spaces
        return None
    matcher = SequenceMatcher(None, *([token[0] for token in own] for own in tokens), autojunk=False)
    spans: tuple[Spans, Spans] = ([], [])
    for kind, *bounds in matcher.get_opcodes():
        for own, of_text, (start, end) in zip(tokens, spans, (bounds[:2], bounds[2:]), strict=True):
            if kind != "equal" and end > start:
                of_text.append((own[start].start(), own[end - 1].end()))
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
