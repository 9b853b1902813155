"""Megabytes per second of `harness overlap` and of datatrove's n-gram decontamination, on the same text and items.

    pip install datatrove spacy "xxhash<4"
    python -m benchmarks.overlap [--megabytes 40] [--items 5000] [--rounds 3]

The text is the standard library's sources, in JSONL. Both sides look for n-grams of 13 words in every document.
datatrove stops at the first one in a document, so the items are random words, which do not stand there. Neither side's
time includes its index. ``end_to_end`` also reads the file, parses JSON and finds the text in each record. Rates are of
processor time on one core.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.rows import RESULTS, record, surroundings
from harness.overlap.index import ItemIndex, NgramSizes
from harness.overlap.items import OverlapItem
from harness.overlap.letters import Unit, letters_of
from harness.overlap.scanning import scan
from harness.overlap.streams import TextPiece, TextStream, open_streams
from harness.versions import installed_versions

WORDS_PER_ITEM = 60


def documents(megabytes: int) -> list[str]:
    """Return sources of the standard library as documents, again and again, up to a number of megabytes."""
    paths = sorted(Path(sysconfig.get_path("stdlib")).glob("*.py"))
    texts = [path.read_text(encoding="utf-8", errors="ignore") for path in paths]
    size = 0
    chosen: list[str] = []
    for text in itertools.cycle(texts):
        if size >= megabytes * 1_000_000:
            return chosen
        size += len(text.encode())
        chosen.append(text)
    return chosen


def items(texts: list[str], count: int, unit: Unit) -> list[OverlapItem]:
    """Return items of the text's own words in random order."""
    draw = random.Random(0)
    words = sorted({word for text in texts[:60] for word in text.split()})
    texts_of_items = (" ".join(draw.choices(words, k=WORDS_PER_ITEM)) for _ in range(count))
    return [
        OverlapItem(task="made", name=str(number), doc_hash="", unit=unit, texts=(text,))
        for number, text in enumerate(texts_of_items)
    ]


def rate(size: int, work: Callable[[], Any], rounds: int) -> float:
    """Return the median of megabytes per second of processor time."""
    spent = []
    for _ in range(rounds):
        begin = time.process_time()
        work()
        spent.append(time.process_time() - begin)
    return round(size / 1e6 / statistics.median(spent), 2)


def ours(texts: list[str], path: Path, made: list[OverlapItem], rounds: int) -> dict[str, float]:
    """Return the rates of `harness overlap`."""
    index = ItemIndex(made, NgramSizes())
    letters_of("a" * (1 << 20))  # tables that every search needs once
    size = sum(len(text.encode()) for text in texts)

    def in_memory() -> None:
        pieces: Iterator[TextPiece] = (TextPiece(text, "document") for text in texts)
        scan(TextStream(name="made", location="made", pieces=pieces), index)

    def end_to_end() -> None:
        for stream in open_streams([str(path)]):
            scan(stream, index)

    return {
        "ngrams": index.count,
        "in_memory": rate(size, in_memory, rounds),
        "end_to_end": rate(size, end_to_end, rounds),
    }


def datatroves(texts: list[str], made: list[OverlapItem], folder: Path) -> dict[str, float]:
    """Return the rate of datatrove's filter, on as much text as takes it a few seconds."""
    from datatrove.data import Document
    from datatrove.pipeline.decont.n_grams import NGramsDecontConfig, NGramsDecontFilter
    from datatrove.utils.text import ngrams, simplify_text

    config = NGramsDecontConfig(n_grams=13)
    search = NGramsDecontFilter(str(folder), config=config)
    # As NGramsDecontIndexer.compute_hashes does, which cannot be imported without lighteval.
    words = [search.tokenizer.word_tokenize(simplify_text(item.texts[0], config.norm_config)) for item in made]
    hashes = {search.hash_func(" ".join(gram)) for one in words for gram in ngrams(one, 13)}
    np.array(sorted(hashes), dtype=config.hash_config.np_descr).tofile(folder / "made.index.hashes")
    search.filter(Document(text="a", id="0"))  # loads the index
    some = texts[: max(1, len(texts) // 20)]
    size = sum(len(text.encode()) for text in some)

    def in_memory() -> None:
        for text in some:
            assert search.filter(Document(text=text, id="0")) is True, "an item stands in the text"

    return {"ngrams": len(hashes), "in_memory": rate(size, in_memory, 1)}


def main() -> None:
    """Measure; print the row and append it to the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=40)
    parser.add_argument("--items", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    texts = documents(args.megabytes)
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "text.jsonl"
        path.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        words = items(texts, args.items, "words")
        both = words + items(texts, args.items // 5, "characters")
        row: dict[str, Any] = {"megabytes": args.megabytes, "items": args.items, "rounds": args.rounds}
        row["ours_words"] = ours(texts, path, words, args.rounds)
        row["ours_words_and_characters"] = ours(texts, path, both, args.rounds)
        row["datatrove_words"] = datatroves(texts, words, Path(temporary))
    row["ratio"] = round(row["ours_words"]["in_memory"] / row["datatrove_words"]["in_memory"], 1)
    row |= {**surroundings(), "versions": installed_versions(("numpy", "datatrove", "spacy"))}
    record(row, RESULTS / "overlap.jsonl")


if __name__ == "__main__":
    main()
