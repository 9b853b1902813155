"""Open a source of the stage file: find its files, choose its reader and format, and check its first record."""

from __future__ import annotations

import glob
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from harness.errors import InputError, SpecError, did_you_mean
from harness.paths import data_dir
from harness.trainers.data import readers
from harness.trainers.data.formats import (
    CONVERSATIONS,
    FIELD_NAMES,
    STAGE_FORMATS,
    WITH_RATIONALE,
    Format,
    guess_format,
)
from harness.trainers.data.hub_reader import HubReader, hub_commit
from harness.trainers.data.messages import is_empty
from harness.trainers.data.readers import Cursor, FileReader, RawRecord, Reader
from harness.trainers.data.record_fields import IGNORE, Rationale
from harness.trainers.data.sources import Source
from harness.trainers.data.spec import SourceSpec
from harness.trainers.data.task_reader import TaskReader, generator_of

TEXT_SUFFIXES = (".txt", ".md")
GUESSED_FROM = 20  # records
FILE_READERS: dict[str, Callable[[Path, Cursor], Iterator[RawRecord]]] = {
    ".jsonl": readers.json_lines,
    ".ndjson": readers.json_lines,
    ".json": readers.json_list,
    ".parquet": readers.parquet,
    ".csv": readers.table,
    ".tsv": readers.table,
    ".py": readers.text_file,
    **dict.fromkeys(TEXT_SUFFIXES, readers.text_file),
}


@contextmanager
def held_out_source() -> Iterator[None]:
    """Errors about a source name the stage file's section `evaluate` instead of `data`."""
    try:
        yield
    except InputError as error:
        raise type(error)(str(error).replace("data.sources.", "evaluate.sources.", 1)) from None


def open_source(
    name: str,
    spec: SourceSpec,
    *,
    stage: str,
    rationale: Rationale,
    seed: int | None,
    allow_test_split: bool = False,
    commit: str | None = None,
    skip_bad: bool = False,
) -> Source:
    """Open a source and convert its first record.

    Args:
        name: Its name in the stage file.
        spec: Where its records are, and how they are read.
        stage: The stage that learns from it, for example ``sft``.
        rationale: Where a record's rationale goes.
        seed: Of the order of its records; None for the order of the files.
        allow_test_split: Allow a generated task's test split.
        commit: Commit of a hub data set; None for the one that its revision points to now.
        skip_bad: Whether records that are wrong are skipped, so that the first one may be wrong too.

    Raises:
        InputError: it is missing, empty, of a format that the stage does not learn from, or its first record does not
            match the format.
    """
    reader = _reader(name, spec, allow_test_split=allow_test_split, commit=commit)
    format_ = _format(name, spec, reader, stage)
    _check_fields(name, spec, format_, rationale)
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
        only_last=spec.only_last,
    )
    first = next(iter(reader.read(Cursor())), None)
    if first is None:
        raise SpecError(f"data.sources.{name}: {spec.location} is empty; give a source with at least one record.")
    if not skip_bad:
        source.convert(first)
    return source


def _check_fields(name: str, spec: SourceSpec, format_: Format, rationale: Rationale) -> None:
    if rationale != "omit" and format_ not in WITH_RATIONALE:
        raise SpecError(
            f"data.rationale: {rationale}; records of format {format_!r} ({name}) have no rationale; only "
            f"{' and '.join(WITH_RATIONALE)} records do. Set it to omit."
        )
    if spec.only_last and format_ not in CONVERSATIONS:
        raise SpecError(
            f"data.sources.{name}.only_last: belongs to conversations ({', '.join(CONVERSATIONS)}), not to records of "
            f"format {format_!r}; remove it."
        )
    for field, named in spec.fields.items():
        if named != IGNORE and field not in FIELD_NAMES[format_]:
            raise SpecError(
                f"data.sources.{name}.fields.{field}: {format_} records have {', '.join(FIELD_NAMES[format_])}."
                f"{did_you_mean(field, FIELD_NAMES[format_])}"
            )


def _reader(name: str, spec: SourceSpec, *, allow_test_split: bool, commit: str | None) -> Reader:
    if spec.columns and spec.path is None:
        raise SpecError(f"data.sources.{name}.columns: belongs to .csv and .tsv files; remove it.")
    if spec.task is not None:
        if spec.split not in ("train", "test"):
            raise SpecError(f"data.sources.{name}.split: {spec.split!r}; {spec.task} has train and test.")
        assert spec.split == "train" or allow_test_split, "evaluation data is refused before sources are opened"
        generator_of(spec.task)
        return TaskReader(task=spec.task, split=spec.split)
    if spec.hub is not None:
        revision = commit or hub_commit(spec.hub, spec.revision)
        return HubReader(name=spec.hub, subset=spec.subset, split=spec.split, revision=revision)
    files = find_files(name, spec)
    suffixes = {_suffix(path) for path in files}
    if len(suffixes) > 1 and suffixes != set(TEXT_SUFFIXES):
        raise SpecError(
            f"data.sources.{name}.path: {spec.path} holds files of several kinds ({', '.join(sorted(suffixes))}); "
            "choose one kind with a glob such as folder/**/*.jsonl."
        )
    suffix = suffixes.pop()
    if spec.columns and suffix not in (".csv", ".tsv"):
        raise SpecError(f"data.sources.{name}.columns: belongs to .csv and .tsv files, not {suffix}; remove it.")
    if spec.columns:
        return FileReader(files=files, read_file=partial(readers.table, columns=spec.columns))
    return FileReader(files=files, read_file=FILE_READERS[suffix])


def find_files(name: str, spec: SourceSpec) -> list[Path]:
    """Return the files that a source's path names, sorted; search the working folder, then the data folder.

    Raises:
        InputError: there are none that can be read.
    """
    assert spec.path is not None
    path = Path(spec.path).expanduser()
    data_folder = data_dir()
    for place in [path] if path.is_absolute() or data_folder is None else [path, data_folder / path]:
        files = _expanded(place, python=spec.format == "python")
        if files:
            return files
    also = "" if data_folder is None else f" or in the data folder {data_folder}"
    raise SpecError(
        f"data.sources.{name}.path: {spec.path}: no file of a supported kind there{also}; give JSONL, a JSON list, "
        "Parquet, CSV, TSV, text or Python files, a folder of them, or a glob."
    )


def readers_of(path: str) -> list[FileReader]:
    """Return a reader for every file of a path, folder or glob that training can read, sorted by name.

    Raises:
        InputError: there are none that can be read.
    """
    place = Path(path).expanduser()
    files = sorted({*_expanded(place, python=False), *_expanded(place, python=True)})
    if not files:
        raise InputError(
            f"{path}: no file of a supported kind there; give JSONL, a JSON list, Parquet, CSV, TSV, text or Python "
            "files, a folder of them, or a glob."
        )
    return [FileReader(files=[file], read_file=FILE_READERS[_suffix(file)]) for file in files]


def _expanded(place: Path, *, python: bool) -> list[Path]:
    """Return the files of a path, folder or glob. In a folder, Python files count only alone or when requested."""
    if place.is_file():
        paths: Sequence[Path] = [place]
    elif place.is_dir():
        inside = [path for path in sorted(place.rglob("*")) if _suffix(path) in FILE_READERS and _is_data(path, place)]
        programs = [path for path in inside if path.suffix == ".py"]
        others = [path for path in inside if path.suffix != ".py"]
        paths = programs if python or not others else others
    else:
        root = Path(*itertools.takewhile(lambda part: not glob.has_magic(part), place.parts))
        found = map(Path, glob.glob(str(place), recursive=True))  # noqa: PTH207 - absolute globs too
        paths = sorted(path for path in found if _is_data(path, root))
    return [path for path in paths if _suffix(path) in FILE_READERS and path.is_file()]


def _is_data(path: Path, folder: Path) -> bool:
    """Whether a file below a folder is data: not hidden, and not installed in a virtual environment."""
    parents = path.relative_to(folder).parts[:-1]
    if any(part.startswith(".") or part in ("__pycache__", "node_modules", "site-packages") for part in parents):
        return False
    folders = [folder.joinpath(*parents[: count + 1]) for count in range(len(parents))]
    return not any((place / "pyvenv.cfg").exists() for place in folders)


def _suffix(path: Path) -> str:
    inner = path.with_suffix("").suffix
    return inner if path.suffix in (".gz", ".zst") and inner in (".jsonl", ".ndjson") else path.suffix


def _format(name: str, spec: SourceSpec, reader: Reader, stage: str) -> Format:
    allowed = STAGE_FORMATS[stage]
    names: list[str] = []
    format_ = spec.format or _guessed_format(reader, spec, names)
    if format_ not in allowed:
        if format_ is not None:
            found = "guessed from the first records" if spec.format is None else "given"
            given = f"{format_!r} ({found}) is not"
        else:
            table = " (columns names them in a table without a row of names)" if _is_table(reader) else ""
            listed = ", ".join(names) or "no field"
            given = f"the first records have {listed}{table}; name the format's under fields, or give"
        raise SpecError(f"data.sources.{name}.format: {given} one that {stage} learns from: {', '.join(allowed)}.")
    return format_


def _is_table(reader: Reader) -> bool:
    return any(_suffix(path) in (".csv", ".tsv") for path in reader.files)


def _guessed_format(reader: Reader, spec: SourceSpec, names: list[str]) -> Format | None:
    """Return the format that the first records show together, or None; their fields are added to `names`."""
    if isinstance(reader, TaskReader):
        return "problem"
    suffix = _suffix(reader.files[0]) if reader.files else ""
    if suffix == ".py" or suffix in TEXT_SUFFIXES:
        return "python" if suffix == ".py" else "text"
    # One record may leave a field empty that the others have; a field that all leave empty still shows the format.
    held: dict[str, Any] = {}
    empty: dict[str, Any] = {}
    for raw in islice(reader.read(Cursor()), GUESSED_FROM):
        record = raw.value if isinstance(raw.value, Mapping) else {}
        renamed = {field: record[named] for field, named in spec.fields.items() if named in record}
        for field, value in {**record, **renamed}.items():
            (empty if is_empty(value) else held).setdefault(str(field), value)
    names += [field for field in {**held, **empty} if field not in spec.fields]
    return guess_format(held) or guess_format({**dict.fromkeys(empty, "x"), **held})
