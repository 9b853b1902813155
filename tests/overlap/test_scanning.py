"""Which items stand in a text: an oracle without hashes, boundaries of buffers, and memory."""

from __future__ import annotations

import tracemalloc
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.overlap import scanning
from harness.overlap.index import LEAST_CHARACTERS, LEAST_WORDS, MOST_ITEMS, ItemIndex, NgramSizes
from harness.overlap.items import OverlapItem
from harness.overlap.letters import Unit, letters_of
from harness.overlap.scanning import SourceOverlap, scan
from harness.overlap.streams import TextPiece, TextStream

SIZES = NgramSizes(words=6, characters=18)
QUESTION = "Which of the seven travelling musicians in the old town plays the louder silver trumpet?"


def item(*texts: str, unit: Unit = "words", task: str = "t") -> OverlapItem:
    return OverlapItem(task=task, name=texts[0][:20], doc_hash=str(hash(texts)), unit=unit, texts=texts)


def stream(pieces: Iterable[TextPiece]) -> TextStream:
    return TextStream(name="s", location="s", pieces=pieces)


def search(items: Sequence[OverlapItem], *documents: str, sizes: NgramSizes = SIZES) -> SourceOverlap:
    return scan(stream([TextPiece(text, f"doc {n}") for n, text in enumerate(documents)]), ItemIndex(items, sizes))


def units_of(text: str, unit: Unit) -> list[str]:
    """The words or letters of a text, character by character, without hashes."""
    kept = "".join(
        c.lower() if unicodedata.category(c)[0] in "LNM" else " " for c in unicodedata.normalize("NFC", text)
    )
    return kept.split() if unit == "words" else list(kept.replace(" ", ""))


def oracle(items: Sequence[OverlapItem], documents: Sequence[str], sizes: NgramSizes) -> dict[int, int]:
    """Number of n-grams by item, by comparing every window with every window."""
    wanted: list[set[tuple[str, ...]]] = []
    for one in items:
        size = sizes.of(one.unit)
        least = min(size, LEAST_WORDS if one.unit == "words" else LEAST_CHARACTERS)
        grams = set()
        for place, text in enumerate(one.texts):
            units = units_of(text, one.unit)
            if place == 0 and least <= len(units) < size:
                grams.add(tuple(units))
            grams |= {tuple(units[at : at + size]) for at in range(len(units) - size + 1)}
        wanted.append(grams)
    searched = [
        {gram for gram in grams if sum(gram in other for other, two in zip(wanted, items, strict=True)
                                       if two.unit == one.unit) <= MOST_ITEMS}
        for grams, one in zip(wanted, items, strict=True)
    ]  # fmt: skip
    counts: dict[int, int] = {}
    for number, (one, grams) in enumerate(zip(items, searched, strict=True)):
        standing = set()
        for document in documents:
            units = units_of(document, one.unit)
            standing |= {g for g in grams for at in range(len(units)) if tuple(units[at : at + len(g)]) == g}
        if standing:
            counts[number] = len(standing)
    return counts


TEXTS = st.text(alphabet="abAé .\n，中", max_size=60)


@given(
    items=st.lists(st.tuples(TEXTS, TEXTS, st.sampled_from(["words", "characters"])), min_size=1, max_size=4),
    noise=st.lists(TEXTS, min_size=2, max_size=4),
    buffer=st.integers(8, 40),
)
@settings(max_examples=80)
def test_the_same_items_and_ngrams_are_found_as_by_comparing_every_window(
    items: list[tuple[str, str, Unit]], noise: list[str], buffer: int
) -> None:
    wanted = [item(question, more, unit=unit) for question, more, unit in items]
    # Each document holds parts of an item between noise, so that there is something to find.
    documents = [f"{noise[n % len(noise)]} {one.texts[n % 2].upper()} {noise[0]}" for n, one in enumerate(wanted)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scanning, "BUFFER", buffer)
        patch.setattr(scanning, "LONGEST_CARRY", 64)
        result = search(wanted, *documents)
    assert {found.item: found.ngrams for found in result.items} == oracle(wanted, documents, SIZES)


@pytest.mark.parametrize(
    "copy",
    [
        QUESTION.upper(),
        QUESTION.replace(" ", "\n"),
        f"**{QUESTION.replace(' ', '  ')}**",
        "> 1. " + QUESTION.replace("seven travelling", "_seven_, travelling").replace("?", "..."),
        QUESTION.replace("old town", "old—town"),
        unicodedata.normalize("NFD", QUESTION).replace("louder", "ｌｏｕｄｅｒ"),
    ],
)
def test_a_reformatted_copy_is_found(copy: str) -> None:
    assert [found.item for found in search([item(QUESTION)], f"Before. {copy} After.", sizes=NgramSizes()).items] == [0]


@pytest.mark.parametrize(
    "other",
    [
        QUESTION.replace("musicians", "students"),  # 12 words at most on either side
        QUESTION.replace("the old", "theold"),
        QUESTION.replace("town", "downtown"),
        " ".join(QUESTION.split()[:12]),
        " ".join(reversed(QUESTION.split())),
    ],
)
def test_a_near_miss_is_not_found(other: str) -> None:
    assert not search([item(QUESTION)], f"Before. {other} After.", sizes=NgramSizes()).items


def test_no_ngram_reaches_from_one_document_into_the_next() -> None:
    words = QUESTION.split()
    halves = " ".join(words[:8]), " ".join(words[8:])
    assert not search([item(QUESTION)], *halves, sizes=NgramSizes()).items
    assert search([item(QUESTION)], " ".join(halves), sizes=NgramSizes()).items


def test_a_short_question_is_looked_for_as_a_whole() -> None:
    raven = item("What colour is a raven?", "What colour is a raven? black")
    assert search([raven], "Q: what colour is a raven? A: black", sizes=NgramSizes()).items
    assert not search([raven], "What colour is a ravenous dog, and what colour is a", sizes=NgramSizes()).items
    too_short = ItemIndex([item("What is it?", "What is it? blue")], NgramSizes())
    assert too_short.ngrams.tolist() == [0]


def test_wording_that_many_items_share_is_no_overlap() -> None:
    frame = "Read the following statement with great care and then say whether it is true or false today:"
    items = [item(f"{frame} {QUESTION.replace('seven', f'number{n}')}") for n in range(MOST_ITEMS + 1)]
    assert not search(items, frame, sizes=NgramSizes()).items
    assert len(search(items[1:], frame, sizes=NgramSizes()).items) == MOST_ITEMS


@pytest.mark.parametrize("cut", range(0, len(QUESTION) + 4, 3))
def test_a_question_is_found_wherever_a_document_is_read_in_pieces(cut: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "BUFFER", 32)
    text = f"{'x ' * 40}{QUESTION}\n{'y ' * 40}"
    at = 78 + cut
    pieces = [TextPiece(text[:at], "f.txt", 1), TextPiece(text[at:], "f.txt", 1, continues=True)]
    (found,) = scan(stream(pieces), ItemIndex([item(QUESTION)], NgramSizes())).items
    assert found.where == "f.txt, line 1"
    assert found.ngrams == len(QUESTION.split()) - 12


def test_a_word_that_goes_on_in_the_next_piece_is_one_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "BUFFER", 16)
    begin = " ".join(QUESTION.split()[:13])
    whole = [TextPiece(f"{begin}ous", "f", 1)]
    cut = [TextPiece(begin, "f", 1), TextPiece("ous and more", "f", 1, continues=True)]
    for pieces in (whole, cut):
        assert not scan(stream(pieces), ItemIndex([item(begin)], NgramSizes())).items


def test_line_numbers_count_from_the_beginning_of_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanning, "BUFFER", 64)
    lines = "one line of other text\n" * 50
    pieces = [
        TextPiece(lines, "f.txt", 1),
        TextPiece(lines, "f.txt", 51, continues=True),
        TextPiece(QUESTION, "f.txt", 101, continues=True),
    ]
    (found,) = scan(stream(pieces), ItemIndex([item(QUESTION)], NgramSizes())).items
    assert (found.where, found.text) == ("f.txt, line 101", " ".join(QUESTION.split()[:13]))


def test_an_equal_hash_is_no_match(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a hash that takes all letters for the same, every window is a candidate; only the real copy is reported."""
    values = letters_of.__globals__["_values"]()
    monkeypatch.setitem(letters_of.__globals__, "_values", lambda: (values > 0).astype("uint64"))
    other = "".join("z" if c.isalpha() else c for c in QUESTION)
    assert not search([item(QUESTION)], other, sizes=NgramSizes()).items
    assert search([item(QUESTION)], other, QUESTION, sizes=NgramSizes()).items[0].where == "doc 1"


@pytest.mark.parametrize("filler", ["- " * 32768, "word " * 13107, "x" * 65536, "中" * 65536])
def test_memory_does_not_grow_with_the_data(filler: str) -> None:
    def pieces(count: int) -> Iterator[TextPiece]:
        for number in range(count):
            yield TextPiece(filler, "f.txt", 1, continues=number > 0)
        yield TextPiece(f" {QUESTION}", "f.txt", 1, continues=True)

    index = ItemIndex([item(QUESTION), item("中文" * 40, unit="characters")], NgramSizes())
    peaks = []
    for count in (20, 60):
        tracemalloc.start()
        result = scan(stream(pieces(count)), index)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert [found.item for found in result.items] == [0]
        assert result.characters > count * 60_000
    assert peaks[1] < 1.3 * peaks[0]
