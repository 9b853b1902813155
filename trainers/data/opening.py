"""From a source in the stage file to an opened one: find its files, its reader and its format, and check all of it."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from harness.errors import InputError, did_you_mean
from harness.paths import data_dir
from harness.trainers.data import readers
from harness.trainers.data.hub_reader import HubReader, hub_commit
from harness.trainers.data.readers import Cursor, FileReader, Raw, Reader
from harness.trainers.data.records import FIELD_NAMES, STAGE_FORMATS, WITH_RATIONALE, Format, Rationale
from harness.trainers.data.sources import Source
from harness.trainers.data.spec import SourceSpec
from harness.trainers.data.task_reader import TaskReader, generator_of

TEXT_SUFFIXES = (".txt", ".md")
READ_FILE: dict[str, Callable[[Path, Cursor], Iterator[Raw]]] = {
    ".jsonl": readers.json_lines,
    ".ndjson": readers.json_lines,
    ".json": readers.json_list,
    ".parquet": readers.parquet,
    ".py": readers.text_file,
    **dict.fromkeys(TEXT_SUFFIXES, readers.text_file),
}


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
        generator_of(spec.task)
        return TaskReader(task=spec.task, split=spec.split)
    if spec.hub is not None:
        revision = commit or hub_commit(spec.hub, spec.revision)
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
