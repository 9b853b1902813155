"""Read a source once and find the items that stand in it; memory holds one buffer of text and the index.

Documents are joined to buffers, because one call of numpy on many small records costs as much as on one. A document
that does not end in a buffer goes on in the next one, together with its last words::

    buffer 1   ... the quick brown fox jum             searched up to "fox"
    buffer 2   quick brown fox jum|ps over ...         "quick brown fox" is read again, with n-grams of 4 words
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from harness.overlap.index import ItemIndex
from harness.overlap.letters import Letters, composed, letters_of
from harness.overlap.streams import StreamHistory, TextPiece, TextStream

BUFFER = 1 << 18  # characters
LONGEST_WORD = 1 << 12  # characters; the end of a longer one is taken as a new word where a buffer ends in it
LONGEST_CARRY = 1 << 14  # characters; a longer one loses what is no letter, and then its beginning
LONGEST_EXAMPLE = 400  # characters

Advance = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class ItemOverlap:
    """An item that was found in a source.

    Attributes:
        item: Its number.
        ngrams: Its n-grams that the source contains.
        text: The first of them, as it is written in the source.
        where: File and line or record.
        sequence: Number of training sequences after which it had been streamed; None if unknown.
    """

    item: int
    ngrams: int
    text: str
    where: str
    sequence: int | None = None


@dataclass(frozen=True, kw_only=True)
class SourceOverlap:
    """The items that stand in one source.

    Attributes:
        stream: The source.
        characters: Characters that were read.
        items: The items, in the order of the task.
    """

    stream: TextStream
    characters: int
    items: tuple[ItemOverlap, ...]

    def with_share(self, least: float, index: ItemIndex) -> SourceOverlap:
        """Return the overlap with those items of which at least this share of n-grams stands there."""
        items = tuple(found for found in self.items if found.ngrams >= least * int(index.ngrams[found.item]))
        return replace(self, items=items)


def scan(stream: TextStream, index: ItemIndex, advance: Advance = lambda _: None) -> SourceOverlap:
    """Read a source and return the items that stand in it.

    Args:
        stream: The source.
        index: The items.
        advance: Called with the number of characters of each buffer.
    """
    buffer, findings = _Buffer(index), _Findings(index, stream.history)
    characters = 0
    for piece in _parts(stream):
        if buffer.size >= BUFFER:
            findings.add(*buffer.take(ended=not piece.continues))
        buffer.add(piece)
        characters += len(piece.text)
        advance(len(piece.text))
    findings.add(*buffer.take(ended=True))
    return SourceOverlap(stream=stream, characters=characters, items=findings.items())


def _parts(stream: TextStream) -> Iterator[TextPiece]:
    """Yield the pieces in NFC, long ones cut into parts."""
    for piece in stream.pieces:
        text, line = composed(piece.text), piece.line
        yield piece._replace(text=text[:BUFFER])
        for begin in range(BUFFER, len(text), BUFFER):
            line = None if line is None else line + text.count("\n", begin - BUFFER, begin)
            yield TextPiece(text[begin : begin + BUFFER], piece.where, line, continues=True, record=piece.record)


@dataclass
class _Buffer:
    """Text that was read and not searched yet.

    Attributes:
        index: The items.
        parts: The text.
        size: Its characters.
        pieces: Where each piece begins in the text, and what it is.
    """

    index: ItemIndex
    parts: list[str] = field(default_factory=list)
    size: int = 0
    pieces: list[tuple[int, TextPiece]] = field(default_factory=list)

    def add(self, piece: TextPiece) -> None:
        """Add a piece; a line break keeps the words of two documents apart."""
        if not piece.continues and self.parts:
            self._append("\n")
        self.pieces.append((self.size, piece))
        self._append(piece.text)

    def _append(self, text: str) -> None:
        self.parts.append(text)
        self.size += len(text)

    def take(self, *, ended: bool) -> tuple[Letters, list[tuple[int, TextPiece]]]:
        """Return the letters to be searched, and the pieces; keep what the rest of the last document needs.

        Args:
            ended: Whether the last document ends here.
        """
        text, pieces = "".join(self.parts), self.pieces
        self.parts, self.size, self.pieces = [], 0, []
        if ended:
            return letters_of(text), pieces
        searched = letters_of(text[: _end_of_words(text)])
        begin = max(self._first_needed(searched), max(at for at, piece in pieces if not piece.continues))
        last_at, last = next((at, piece) for at, piece in reversed(pieces) if at <= begin)
        line = None if last.line is None else last.line + text.count("\n", last_at, begin)
        self.pieces.append((0, last._replace(text="", line=line, continues=False)))
        later = [(at - begin, piece) for at, piece in pieces if at > begin]
        carry = text[begin:]
        if len(carry) > LONGEST_CARRY:
            later, carry = [], _last_words(carry)
        self.pieces += later
        self._append(carry)
        return searched, pieces

    def _first_needed(self, letters: Letters) -> int:
        """Return the position of the word from which on an n-gram may go on after the text."""
        sizes, words = self.index.sizes, letters.words
        letter = min(int(words[max(0, words.size - sizes.words)]), letters.places.size - (sizes.characters - 1))
        if letter <= 0:
            return 0
        word = int(words[np.searchsorted(words, letter, side="right") - 1])
        return int(letters.places[word if letter - word < LONGEST_WORD else letter])


def _end_of_words(text: str) -> int:
    """Return where the last word begins, which the next piece may continue."""
    letters = letters_of(text[-LONGEST_WORD:])
    if letters.words.size < 2:
        return len(text)
    at = int(letters.places[letters.words[-2]])
    return len(text) - min(LONGEST_WORD, len(text)) + at if at > 0 else len(text)


def _last_words(text: str) -> str:
    """Return the last words of a text with one space around each, at most `LONGEST_CARRY` characters."""
    letters = letters_of(text)
    words = [letters.excerpt(begin, end) for begin, end in itertools.pairwise(letters.words.tolist())]
    ends_in_word = bool(words) and int(letters.places[-1]) == len(text) - 1
    spaced = " ".join(words if ends_in_word else [*words, ""])
    kept = spaced[-LONGEST_CARRY:]
    whole_words = kept if len(kept) == len(spaced) else kept.partition(" ")[2]
    return whole_words if 2 * len(whole_words) > len(kept) else kept


class _Findings:
    """What was found of each item in one source."""

    def __init__(self, index: ItemIndex, history: StreamHistory | None) -> None:
        self._index, self._history = index, history
        self._found: npt.NDArray[np.bool_] = np.zeros(index.count, dtype=np.bool_)
        self._ngrams: Counter[int] = Counter()
        self._first: dict[int, ItemOverlap] = {}  # by item: its first n-gram

    def add(self, letters: Letters, pieces: list[tuple[int, TextPiece]]) -> None:
        """Search a part of the source."""
        documents = np.searchsorted(letters.places, [at for at, piece in pieces if not piece.continues])
        for match in self._index.matches(letters, documents, self._found):
            self._ngrams[match.item] += 1
            if match.item not in self._first:
                text = " ".join(letters.excerpt(match.begin, match.end).split())[:LONGEST_EXAMPLE]
                where = _where(letters, pieces, int(letters.places[match.begin]))
                _, last = _piece_at(pieces, int(letters.places[match.end - 1]))
                sequence = self._history.sequence_of(last.record) if self._history is not None else None
                self._first[match.item] = ItemOverlap(
                    item=match.item, ngrams=0, text=text, where=where, sequence=sequence
                )

    def items(self) -> tuple[ItemOverlap, ...]:
        """Return the items that were found."""
        return tuple(replace(first, ngrams=self._ngrams[number]) for number, first in sorted(self._first.items()))


def _piece_at(pieces: list[tuple[int, TextPiece]], place: int) -> tuple[int, TextPiece]:
    """Return the piece that contains a character of the text, and where the piece begins."""
    return next((at, piece) for at, piece in reversed(pieces) if at <= place)


def _where(letters: Letters, pieces: list[tuple[int, TextPiece]], place: int) -> str:
    at, piece = _piece_at(pieces, place)
    if piece.line is None:
        return piece.where
    return f"{piece.where}, line {piece.line + letters.text.count(chr(10), at, place)}"
