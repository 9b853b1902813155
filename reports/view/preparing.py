"""Find the index of some records in the cache, or build it; a bar on a terminal shows how far that is.

An index is named after the bytes of the records and of the code that makes it. So moved or copied records need no new
one, changed ones get one, and no page shows numbers of an earlier release.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from harness import records as records_package
from harness import stats
from harness.console import stderr
from harness.digests import file_digest
from harness.errors import HarnessError, one_line
from harness.paths import cache_dir, writable_cache_dir
from harness.records import ModelRecords, Records, TaskRun, read
from harness.reports import analysis, documents, page, view
from harness.reports.view.building import build
from harness.reports.view.index import Index
from harness.reports.view.options import Options
from harness.reports.view.plain import to_plain
from harness.reports.view.results import Overview, overview

FOLDER = "view"
# What reads records, computes the numbers in the index and writes it.
_PACKAGES = (stats, records_package, analysis, documents, page, view)
STALE_SECONDS = 86_400.0
_UNFINISHED = ".building-"


def prepared(records: Records, options: Options) -> Index:
    """Return the index of these records, from the cache or built now.

    Args:
        records: Without items.
        options: What the user asked for.

    Raises:
        RecordError: A file of the records is missing, truncated or damaged.
        InputError: The cache folder is read-only and has no such index.
        HarnessError: The index cannot be written.
    """
    with _bar() as bar:
        name = f"{_key(records, options, bar)}.sqlite"
        path = cache_dir() / FOLDER / name
        if path.exists():
            with suppress(sqlite3.DatabaseError):  # a damaged index only costs the time to build it again
                return Index(path)
        path = writable_cache_dir("the index of these records") / FOLDER / name
        try:
            _write(path, records, options, bar)
        except (OSError, sqlite3.Error) as error:
            raise HarnessError(
                f"{path.parent}: the index cannot be written ({one_line(error)}); free disk space, or name another "
                "folder in HARNESS_CACHE_DIR."
            ) from error
    return Index(path)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    return Progress(*columns, TimeRemainingColumn(), console=stderr(), transient=True, disable=not sys.stderr.isatty())


def _runs(records: Records) -> Iterator[tuple[ModelRecords, TaskRun]]:
    return ((model, run) for model in records.models for run in model.tasks.values())


def _key(records: Records, options: Options, bar: Progress) -> str:
    """Return the digest of all that the index depends on: the records' bytes, names, flags, and this release."""
    files = [(model.name, run.task, file) for model, run in _runs(records) for file in _files(run)]
    sizes = {file: _size(file) for *_, file in files}
    step = bar.add_task("checking the records", total=sum(sizes.values()))
    digests: dict[Path, str] = {}
    for file, size in sizes.items():
        digests[file] = file_digest(file) if size else ""
        bar.advance(step, size)
    content = [
        _code(),
        options.force,
        options.skip_broken,
        [*records.skipped, *records.empty],
        [(model.name, dict(model.unscored)) for model in records.models],
        [(name, task, digests[file]) for name, task, file in files],
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:32]


def _code() -> str:
    """Return a digest of the code that makes an index, so that no index is older than its code."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        for file in sorted(Path(str(package.__file__)).parent.glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _files(run: TaskRun) -> list[Path]:
    """The files of a run: results, samples, and this project's own record, which counts the failures."""
    time_of_run = run.results.stem.rpartition("_")[2]
    own = run.results.with_name(f"run_{time_of_run}.json")
    return [run.results, run.samples, *([own] if own.exists() else [])]


def _size(file: Path) -> int:
    """Bytes of a file; 0 if it is missing, which reading the records says."""
    try:
        return file.stat().st_size
    except OSError:
        return 0


def _write(path: Path, records: Records, options: Options, bar: Progress) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _remove_stale(path.parent)
    step = bar.add_task("reading and ranking", total=None)
    loaded = read(records, skip_broken=options.skip_broken)
    first_page = overview(loaded, options)
    bar.remove_task(step)
    step = bar.add_task("indexing", total=sum(_size(run.samples) for _, run in _runs(loaded)))
    with _unfinished(path) as unfinished:
        build(
            unfinished,
            _ranked(loaded, first_page),
            {"overview": to_plain(first_page)},
            lambda size: bar.advance(step, size),
            skip_broken=options.skip_broken,
        )


def _ranked(records: Records, first_page: Overview) -> list[ModelRecords]:
    """The models, the best first if they could be ranked."""
    order = {name: at for at, name in enumerate(first_page.overall)}
    return sorted(records.models, key=lambda model: order.get(model.name, 0))


@contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    """Give a path to write to, and rename it to `path` if the block ends without an exception."""
    handle, name = tempfile.mkstemp(prefix=_UNFINISHED, dir=path.parent)
    os.close(handle)
    try:
        yield Path(name)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)


def _remove_stale(folder: Path) -> None:
    """Remove what runs left that were killed while they built an index."""
    for file in folder.glob(f"{_UNFINISHED}*"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime > STALE_SECONDS:
                file.unlink()
