"""A text as the rules of extraction read it: one form of each character, no markup, nothing of the next question.

reading = read("答案是**（Ｃ）**。", MARKUP)
reading.text             # "答案是(C)。"
reading.span(3, 6)       # (5, 8): where "(C)" stands in the original text
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Full-width forms of ASCII (U+FF01 to U+FF5E) and other forms of the same mark. Each stands for one character.
_ONE_FORM = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {
    ord(mark): plain
    for marks, plain in (
        ("“”„「」『』", '"'),
        ("‘’", "'"),
        ("【〔［", "["),
        ("】〕］", "]"),
        ("−－﹣", "-"),
        ("￥", "¥"),
        ("\u3000\xa0", " "),
    )
    for mark in marks
}
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|bm)\s*\{(?P<kept>[^{}]*)\}")
_LATEX = r"\\[()\[\]$,!;]|\\(?:left|right)\b|\\(?=%)|\$|\{(?=,\})|(?<=\{,)\}"
MARKUP = re.compile(rf"{_LATEX}|\*+|`+|__+|^[ \t]*#+[ \t]*|^[ \t]*>[ \t]*", re.MULTILINE)
# Keeps 9 * 2 and the marker ####, and leaves out the calculator notes <<9*2=18>> of GSM8K.
MATH_MARKUP = re.compile(rf"{_LATEX}|\*\*+|`+|__+|^[ \t]*>[ \t]*|<<[^<>\n]{{0,80}}>>", re.MULTILINE)

_NEW_QUESTION = re.compile(
    r"^[ \t#>*]*(?:(?:next |new |another )?(?:question|problem|q)[ \t]*\d*|(?:user|human)|(?:下一)?(?:问题|题目"
    r"|例题)[ \t]*\d*)"
    r"[ \t*]*:",
    re.IGNORECASE | re.MULTILINE,
)
_LONG_BLANK = re.compile(r"\s{9,}")  # a loop of blanks; some patterns take the square of its length
_SENTENCE_END = re.compile(r"[.!?]+[\"')\]]*(?=\s|$)|[。!?;]+[\"')\]]*|\n+")
_SHORTEST_ROUND = 4  # characters
_REACH = 400  # characters; a longer "sentence" is a loop without punctuation
_CLAUSE_START = re.compile(
    r"[,;:。!?\n—]|\.(?=\s)|\b(?:but|so|and so|hence|therefore|thus)\b|但是?|所以|因此|而(?=[应选是])"
)


@dataclass(frozen=True)
class Reading:
    """`text` without markup; ``positions[i]`` is where its character i stands in the original text."""

    text: str
    positions: tuple[int, ...]

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Return the half-open span of the original text for a non-empty span of this one."""
        return self.positions[start], self.positions[end - 1] + 1


def read(text: str, markup: re.Pattern[str]) -> Reading:
    """Write each character in one form, then leave out `markup` and everything from a new question on."""
    plain = text.translate(_ONE_FORM)
    question = _NEW_QUESTION.search(plain)
    end = _end_of_whole(plain[: question.start()] if question else plain)
    dropped = {i for match in markup.finditer(plain, 0, end) for i in range(*match.span())}
    for match in _WRAPPED.finditer(plain, 0, end):
        dropped |= {*range(match.start(), match.start("kept")), match.end() - 1}
    for match in _LONG_BLANK.finditer(plain, 0, end):
        dropped |= _surplus(match)
    kept = tuple(i for i in range(end) if i not in dropped)
    return Reading("".join(plain[i] for i in kept), kept)


def _end_of_whole(text: str) -> int:
    """Return where the text ends without the broken last round of a loop: "The answer is 120. The answer is 12"."""
    start, end = last_sentence(text)
    broken = text[start:end].strip()
    previous = text[slice(*last_sentence(text[:start]))].strip()
    is_broken = len(broken) >= _SHORTEST_ROUND and broken != previous and previous.startswith(broken)
    return start if is_broken else len(text)


def _surplus(blank: re.Match[str]) -> set[int]:
    """Return the positions of a long run of white space beyond two ends of line; without any, beyond eight spaces."""
    positions = range(*blank.span())
    line_ends = [position for position in positions if blank.string[position] == "\n"]
    return set(positions).difference(line_ends[:2] or positions[:8])


def sentence_at(text: str, position: int) -> tuple[int, int]:
    """Return the span of the sentence at `position`, with the mark that ends it; at most `_REACH` either way."""
    start = max(0, position - _REACH)
    for end in _SENTENCE_END.finditer(text, start, min(len(text), position + _REACH)):
        if end.end() > position:
            return start, end.end()
        start = end.end()
    return start, min(len(text), position + _REACH)


def clause_before(text: str, position: int) -> str:
    """Return the part of the clause that stands before `position`."""
    start, _ = sentence_at(text, position)
    sentence = text[start:position]
    starts = [match.end() for match in _CLAUSE_START.finditer(sentence)]
    return sentence[starts[-1] :] if starts else sentence


def last_sentence(text: str) -> tuple[int, int]:
    """Return the span of the last sentence that is not blank; (0, 0) if there is none."""
    return sentence_at(text, len(text.rstrip()) - 1) if text.strip() else (0, 0)


def last_line(text: str) -> tuple[int, int]:
    """Return the span of the last line that is not blank, without the spaces around it."""
    end = len(text.rstrip())
    start = text.rfind("\n", 0, end) + 1
    return start + len(text[start:end]) - len(text[start:end].lstrip()), end
