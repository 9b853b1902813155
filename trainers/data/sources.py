"""A source of the stage file, opened: where its files are, in which order its records come, what they are.

Records are put in order block by block: a block of records is read, permuted by (seed, source, pass, block), given out.
So the order is random but for its reach, memory is bounded, and a place is found again without reading what was before.
"""

from __future__ import annotations

import glob
import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from harness.digests import file_digest
from harness.errors import InputError, did_you_mean
from harness.paths import data_dir
from harness.trainers.data import readers
from harness.trainers.data.readers import Cursor, FileReader, HubReader, Raw, Reader, TaskReader
from harness.trainers.data.records import (
    FIELD_NAMES,
    READ,
    STAGE_FORMATS,
    WITH_RATIONALE,
    Fields,
    Format,
    Rationale,
    Record,
)
from harness.trainers.data.spec import SourceSpec

BLOCK_RECORDS = 2048
BEGINNING = Cursor()
BLOCK_BYTES = 1 << 24  # of text, roughly: a block lies in memory
BLOCKS_KEPT = 2

TEXT_SUFFIXES = (".txt", ".md")
READ_FILE: dict[str, Callable[[Path, Cursor], Iterator[Raw]]] = {
    ".jsonl": readers.json_lines,
    ".ndjson": readers.json_lines,
    ".json": readers.json_list,
    ".parquet": readers.parquet,
    ".py": readers.text_file,
    **dict.fromkeys(TEXT_SUFFIXES, readers.text_file),
}


@dataclass(frozen=True)
class Place:
    """Where a source stands: between two records.

    Attributes:
        turn: How often the source has been begun anew.
        block: Index of the block in this turn.
        cursor: Where the block begins.
        within: Records of the block that were given out.
        seen: Records of this turn that lie before the block.
    """

    turn: int = 0
    block: int = 0
    cursor: Cursor = BEGINNING
    within: int = 0
    seen: int = 0

    def behind(self, block: Sequence[Raw]) -> Place:
        """Return the place behind the block that begins here."""
        return Place(self.turn, self.block + 1, block[-1].after, 0, self.seen + len(block))


@dataclass(frozen=True, kw_only=True)
class Source:
    """One source, opened.

    Attributes:
        name: Its name in the stage file.
        location: What the user named.
        reader: Reads its raw records.
        format: What they are.
        fields: A format's field name -> the file's.
        rationale: What becomes of rationales.
        shuffle_seed: None: records come in the order of the files.
        skip: Records left out at the beginning of every turn.
        limit: Records used after those in every turn.
        recent: The blocks read last, by where they begin and how many records were asked for. Planning, training and
            each saved state stand at nearly the same place, and would read or generate the same block in turn.
    """

    name: str
    location: str
    reader: Reader
    format: Format
    fields: dict[str, str]
    rationale: Rationale
    shuffle_seed: int | None
    skip: int = 0
    limit: int | None = None
    recent: dict[tuple[Cursor, int], list[Raw]] = field(default_factory=dict, init=False, compare=False, repr=False)

    def turn(self, place: Place) -> Iterator[tuple[Record, str, Place]]:
        """Yield ``(record, where, place after it)`` from `place` to the end of its turn."""
        for at, block in self._blocks(place):
            order = list(range(len(block)))
            if self.shuffle_seed is not None:
                order = _shuffled(block, f"{self.shuffle_seed}/{self.name}/{at.turn}/{at.block}")
            used = [index for index in order if at.seen + index >= self.skip]
            following = at.behind(block)
            for number in range(at.within, len(used)):
                raw = block[used[number]]
                after = replace(at, within=number + 1) if number + 1 < len(used) else following
                yield self.understood(raw), raw.where, after

    def _blocks(self, at: Place) -> Iterator[tuple[Place, list[Raw]]]:
        """Yield each block with its place, from that of `at` to the end of the turn."""
        stop = None if self.limit is None else self.skip + self.limit
        raws: Iterator[Raw] | None = None
        while stop is None or at.seen < stop:
            most = BLOCK_RECORDS if stop is None else min(BLOCK_RECORDS, stop - at.seen)
            block = self.recent.get((at.cursor, most)) if raws is None else None
            if block is None:
                # Opened once: to enter a stream or a packed file anew is to read it anew.
                raws = raws or self.reader.read(at.cursor)
                block = _block(raws, most)
                self._keep((at.cursor, most), block)
            if not block:
                return
            yield at, block
            at = at.behind(block)

    def _keep(self, key: tuple[Cursor, int], block: list[Raw]) -> None:
        self.recent[key] = block
        while len(self.recent) > BLOCKS_KEPT:
            del self.recent[next(iter(self.recent))]

    def understood(self, raw: Raw) -> Record:
        """Make a record of a raw one."""
        return READ[self.format](Fields(raw.value, raw.where, self.fields, self.rationale))

    def digest(self) -> str | None:
        """Return the sha256 over the names and bytes of its files; of a hub data set its commit; else None."""
        if not self.reader.files:
            revision = self.reader.revision if isinstance(self.reader, HubReader) else None
            return f"commit:{revision}" if revision is not None else None
        total = hashlib.sha256()
        for path in self.reader.files:
            total.update(f"{path.name}:{file_digest(path)}\n".encode())
        return f"sha256:{total.hexdigest()}"


def _block(raws: Iterator[Raw], most: int) -> list[Raw]:
    block: list[Raw] = []
    size = 0
    for raw in raws:
        block.append(raw)
        size += _size(raw.value)
        if len(block) >= most or size >= BLOCK_BYTES:
            break
    return block


def _shuffled(block: list[Raw], seed: str) -> list[int]:
    """Put the documents of a block in random order. The pieces of a long text stay together and in theirs.

    A text that began before the block goes on first, and one that goes on behind it comes last.
    """
    documents: list[list[int]] = []
    for index, raw in enumerate(block):
        if index == 0 or _begins(raw):
            documents.append([])
        documents[-1].append(index)
    first = documents[:1] if not _begins(block[0]) else []
    last = documents[-1:] if not _ends(block[-1]) and len(documents) > len(first) else []
    between = documents[len(first) : len(documents) - len(last)]
    random.Random(seed).shuffle(between)
    return [index for document in (*first, *between, *last) for index in document]


def _begins(raw: Raw) -> bool:
    return not isinstance(raw.value, dict) or raw.value.get("begins", True) is not False


def _ends(raw: Raw) -> bool:
    return not isinstance(raw.value, dict) or raw.value.get("ends", True) is not False


def _size(value: Any) -> int:
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(map(_size, value.values()))
    return sum(map(_size, value)) if isinstance(value, list) else 8


def open_source(
    name: str,
    spec: SourceSpec,
    *,
    stage: str,
    rationale: Rationale,
    seed: int | None,
    allow_test_split: bool = False,
    commit: str | None = None,
) -> Source:
    """Find a source's files and look at its first record; a hub data set is read at `commit` where one is given.

    Raises:
        InputError: missing, empty, of a kind or format that the stage cannot learn from, or its first record is of
            another schema.
    """
    reader = _reader(name, spec, allow_test_split=allow_test_split, commit=commit)
    format_ = _format(name, spec, reader, stage)
    if rationale != "omit" and format_ not in WITH_RATIONALE:
        raise InputError(
            f"data.rationale: {rationale}; records of format {format_!r} ({name}) have no rationale of their own. Only "
            f"{' and '.join(WITH_RATIONALE)} have; set omit."
        )
    for given in spec.fields:
        if given not in FIELD_NAMES[format_]:
            raise InputError(
                f"data.sources.{name}.fields.{given}: {format_} records have {', '.join(FIELD_NAMES[format_])}."
                f"{did_you_mean(given, FIELD_NAMES[format_])}"
            )
    source = Source(
        name=name,
        location=spec.location,
        reader=reader,
        format=format_,
        fields=spec.fields,
        rationale=rationale,
        shuffle_seed=seed,
        skip=spec.skip,
        limit=spec.limit,
    )
    first = next(iter(reader.read(Cursor())), None)
    if first is None:
        raise InputError(f"data.sources.{name}: {spec.location} is empty; give a source with at least one record.")
    source.understood(first)
    return source


def _reader(name: str, spec: SourceSpec, *, allow_test_split: bool, commit: str | None) -> Reader:
    if spec.task is not None:
        if spec.split not in ("train", "test"):
            raise InputError(f"data.sources.{name}.split: {spec.split!r}; {spec.task} has train and test.")
        assert spec.split == "train" or allow_test_split, "evaluation data is refused before sources are opened"
        readers.generator_of(spec.task)
        return TaskReader(task=spec.task, split=spec.split)
    if spec.hub is not None:
        revision = commit or readers.hub_commit(spec.hub, spec.revision)
        return HubReader(name=spec.hub, subset=spec.subset, split=spec.split, revision=revision)
    files = find_files(name, spec)
    suffixes = {_suffix(path) for path in files}
    if len(suffixes) > 1 and suffixes != set(TEXT_SUFFIXES):
        raise InputError(
            f"data.sources.{name}.path: {spec.path} holds files of several kinds ({', '.join(sorted(suffixes))}); "
            "name one kind with a glob such as folder/**/*.jsonl."
        )
    return FileReader(files=files, read_file=READ_FILE[suffixes.pop()])


def find_files(name: str, spec: SourceSpec) -> list[Path]:
    """Return the files that a source's path names, sorted, looking in the working folder and the data folder.

    Raises:
        InputError: there are none that can be read.
    """
    assert spec.path is not None
    typed = Path(spec.path).expanduser()
    chosen = data_dir()
    for place in [typed] if typed.is_absolute() or chosen is None else [typed, chosen / typed]:
        found = _expanded(place, python=spec.format == "python")
        if found:
            return found
    where = "" if chosen is None else f" nor in the data folder {chosen}"
    raise InputError(
        f"data.sources.{name}.path: {spec.path}: no file of a known kind there{where}; give JSONL, a JSON list, "
        "Parquet, text or Python files, a folder of them, or a glob."
    )


def _expanded(place: Path, *, python: bool) -> list[Path]:
    if place.is_file():
        paths: Sequence[Path] = [place]
    elif place.is_dir():
        inside = [path for path in sorted(place.rglob("*")) if _suffix(path) in READ_FILE]
        programs = [path for path in inside if path.suffix == ".py"]
        others = [path for path in inside if path.suffix != ".py"]
        paths = programs if python or not others else others
    else:
        paths = sorted(map(Path, glob.glob(str(place), recursive=True)))  # noqa: PTH207 - absolute globs too
    return [path for path in paths if _suffix(path) in READ_FILE and path.is_file()]


def _suffix(path: Path) -> str:
    inner = path.with_suffix("").suffix
    return inner if path.suffix == ".gz" and inner in (".jsonl", ".ndjson") else path.suffix


def _format(name: str, spec: SourceSpec, reader: Reader, stage: str) -> Format:
    allowed = STAGE_FORMATS[stage]
    chosen = spec.format or _guessed(reader)
    if chosen not in allowed:
        given = f"{chosen!r} is not" if chosen else "give"
        raise InputError(f"data.sources.{name}.format: {given} one that {stage} learns from: {', '.join(allowed)}.")
    return chosen


def _guessed(reader: Reader) -> Format | None:
    if isinstance(reader, TaskReader):
        return "problem"
    suffix = _suffix(reader.files[0]) if reader.files else ""
    return "python" if suffix == ".py" else "text" if suffix in TEXT_SUFFIXES else None
