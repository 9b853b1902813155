r"""A text reduced to lower-case letters and digits, with hashes of any stretch of them in constant time.

    "Is it *Well-known*?\n"  ->  letters  i s i t w e l l k n o w n      words begin at  0 2 4 8

Case, white space, punctuation and Markdown do not count, so a reformatted copy has the same letters and words. This
follows GPT-3 (arXiv 2005.14165, appendix C: lower case, no punctuation, words between white space) and GPT-4 (arXiv
2303.08774, appendix C: all spaces and symbols removed). One thing differs from GPT-3 and from lm-eval's
``decontamination/janitor.py``, which delete punctuation: here it separates words, so that "a—b" equals "a — b".
"""

from __future__ import annotations

import functools
import unicodedata
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

Unit = Literal["words", "characters"]
Hashes: TypeAlias = npt.NDArray[np.uint64]
Positions: TypeAlias = npt.NDArray[np.intp]
Codes: TypeAlias = npt.NDArray[np.uint32]

CODE_POINTS = 0x110000
BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2**64
WORD = 0xD1342543DE82EF95  # value of the beginning of a word


@dataclass(frozen=True, kw_only=True, eq=False)
class Letters:
    """The letters and words of a text.

    Attributes:
        text: The text, in NFC.
        code_points: Of the text, one per character.
        places: Position in the text of each letter.
        words: Number of each word's first letter, and at the end the number of letters.
        sums: Prefix sums from which hashes are computed; one more than letters.
    """

    text: str
    code_points: npt.NDArray[np.unsignedinteger]
    places: Positions
    words: Positions
    sums: Hashes

    def bounds(self, unit: Unit) -> Positions:
        """Return the number of each unit's first letter, and at the end the number of letters."""
        return self.words if unit == "words" else self._characters

    @functools.cached_property
    def _characters(self) -> Positions:
        return np.arange(self.places.size + 1)

    def hashes(self, unit: Unit, begins: Positions, ends: Positions) -> Hashes:
        """Return a hash of the units from each begin to each end; it does not depend on where they stand."""
        # sums[i] = v0 + v1 B + v2 B^2 + ... of the first i letters, modulo 2**64. The letters from 2 to 4 have
        #   sums[4] - sums[2] = v2 B^2 + v3 B^3      times B^-2      = v2 + v3 B
        sums, places = (self._word_sums, self.words[begins]) if unit == "words" else (self.sums, begins)
        difference: Hashes = sums[ends] - sums[begins]
        return difference * _powers(pow(BASE, -1, 2**64), self.sums.size)[places]

    @functools.cached_property
    def _word_sums(self) -> Hashes:
        """Prefix sums of the letters before each word, with one more value per word: "ab c" is not "a bc"."""
        sums = self.sums[self.words]
        sums[1:] += np.cumsum(_powers(BASE, self.sums.size)[self.words[:-1]] * np.uint64(WORD))
        return sums

    def folded(self, begin: int, end: int) -> Codes:
        """Return the letters from `begin` to `end` as code points of lower-case letters."""
        letters: Codes = _folding()[self.code_points[self.places[begin:end]]]
        return letters

    def excerpt(self, begin: int, end: int) -> str:
        """Return the text from one letter to another, as it stands."""
        return self.text[self.places[begin] : self.places[end - 1] + 1]


def composed(text: str) -> str:
    """Return the text in NFC: accented letters as one character, where there is one."""
    return text if text.isascii() or unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def letters_of(text: str) -> Letters:
    """Return the letters and words of a text in NFC."""
    width: type[np.unsignedinteger] = np.uint8 if text.isascii() else np.uint32
    encoding = "ascii" if text.isascii() else "utf-32-le"
    code_points = np.frombuffer(text.encode(encoding, "surrogatepass"), dtype=width)
    values = _values()[code_points]
    places = np.flatnonzero(values)
    values = values[places]
    values *= _powers(BASE, places.size)[: places.size]
    sums = np.zeros(places.size + 1, dtype=np.uint64)
    np.cumsum(values, out=sums[1:])
    begins = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    words = np.append(begins, places.size)
    return Letters(text=text, code_points=code_points, places=places, words=words, sums=sums)


@functools.cache
def _folding() -> Codes:
    """For each code point that of its lower-case form, full-width forms as usual ones; 0 for what is no letter."""
    table = np.zeros(CODE_POINTS, dtype=np.uint32)
    for code in range(CODE_POINTS):
        character = chr(code)
        if unicodedata.category(character)[0] in "LNM":  # letters, numbers, and marks, which are parts of words
            table[code] = ord(_folded(character))
    return table


def _folded(character: str) -> str:
    usual = unicodedata.normalize("NFKC", character).lower()
    return usual if len(usual) == 1 else character


@functools.cache
def _values() -> Hashes:
    """A value for each code point that looks random (splitmix64 of its folded form); 0 for what is no letter."""
    folded = _folding()
    z = folded.astype(np.uint64) * np.uint64(BASE)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.where(folded > 0, z ^ (z >> np.uint64(31)), np.uint64(0))


def _powers(base: int, count: int) -> Hashes:
    """Return at least `count` powers of `base` modulo 2**64, from the power 0 on."""
    return _powers_up_to(base, max(1 << 10, 1 << count.bit_length()))


@functools.lru_cache(maxsize=8)
def _powers_up_to(base: int, count: int) -> Hashes:
    factors = np.full(count, base, dtype=np.uint64)
    factors[0] = 1
    return np.cumprod(factors)
