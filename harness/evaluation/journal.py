"""Durable answers: each is on disk as soon as its batch is done, and is looked up by model and request.

The key is a digest of the model's fingerprint and of the request, never of a path or a name::

    sha256(sha256('{"dtype": "float32", "engine": "hf", "weights": "sha256:...", ...}') +
           '["loglikelihood", "2 + 2 =", " 4", "", 0, null]')

So the same command resumes after a kill, another evaluation uses the answers it shares, and a retrained checkpoint at
an old path finds none. Failures are not kept: the next run sends those requests again.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from json.encoder import encode_basestring_ascii as quoted
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from harness.digests import open_to_read
from harness.engines.base import Answer, Request
from harness.errors import HarnessError, InputError
from harness.evaluation.journal_files import Place, beside, files_of, place_of, read_other
from harness.paths import cache_dir, cache_is_read_only

Result = TypeVar("Result")
SCHEMA_VERSION = 2  # 1 had no column encoded_apart
LOOKUP_CHUNK = 500  # below SQLite's limit of bound variables
BUSY_SECONDS = 60.0

_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    key BLOB PRIMARY KEY,       -- sha256 of fingerprint and request
    answerer BLOB NOT NULL,     -- sha256 of the fingerprint alone, for `cache info`
    logprob REAL,               -- nats; NULL for generations
    is_greedy INTEGER,
    text TEXT,
    tokens INTEGER NOT NULL,
    cut_tokens INTEGER NOT NULL,
    encoded_apart INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS answerers (answerer BLOB PRIMARY KEY, description TEXT NOT NULL);
-- what the models were called, for `cache info`; journals of earlier releases lack it
CREATE TABLE IF NOT EXISTS names (answerer BLOB, name TEXT, PRIMARY KEY (answerer, name)) WITHOUT ROWID;
"""
_COUNTS = ("tokens", "cut_tokens", "encoded_apart")
_COLUMNS = ("logprob", "is_greedy", "text", *_COUNTS)


class JournalError(HarnessError):
    """The journal cannot be read or written: full disk, read-only folder, a process that keeps it locked."""


LARGEST_LOGPROB = 1e-3  # of a sum of rounded values that are at most 0


class DamagedJournalError(InputError):
    """The journal's file is damaged, or not a journal that this release can read."""


def default_path() -> Path:
    """Return the journal that all evaluations of this user share."""
    return cache_dir() / "journal.sqlite"


class Journal:
    """Answers of one model, read and written in batches. Several processes may use one file.

    Args:
        path: SQLite file; created if missing. On a network file system, each host has its own file beside it (see
            `journal_files`). None keeps answers in memory only (``--no_cache``). In a read-only cache, known answers
            are read from the files and new ones are kept in memory.
        fingerprint: Everything that the model's answers depend on; any change makes a different model.
        name: What the model is called here, for `cache info`; answers do not depend on it.

    Raises:
        JournalError: the file cannot be opened.
        DamagedJournalError: it is damaged, or not a journal that this release can read.
    """

    def __init__(self, path: Path | None, fingerprint: dict[str, object], name: str = "") -> None:
        self._path = path
        self._place = None if path is None else place_of(path)
        description = json.dumps(fingerprint, sort_keys=True, ensure_ascii=False)
        self._fingerprint = hashlib.sha256(description.encode()).digest()
        try:
            self._read_only = cache_is_read_only() and path == default_path()
            self._database = _open(None if self._read_only else self._place)
            with self._database:
                model = (self._fingerprint, description)
                added = self._database.execute("INSERT OR IGNORE INTO answerers VALUES (?, ?)", model).rowcount
                self._model_is_new = bool(added)  # it has no answers to look for
                if name:
                    self._database.execute("INSERT OR IGNORE INTO names VALUES (?, ?)", (self._fingerprint, name))
        except (sqlite3.Error, OSError) as error:
            raise self._explained(error) from error

    @property
    def durable(self) -> bool:
        """Whether answers outlive this process."""
        return self._path is not None and not self._read_only

    def lookup(self, requests: Sequence[Request]) -> dict[int, Answer]:
        """Return the known answers by index of `requests`."""
        known: dict[int, Answer] = {}
        try:
            others = [] if self._path is None else [file for file in files_of(self._path) if self._is_other_file(file)]
            if self._model_is_new and not others:
                return known
            keys = [self._key(request) for request in requests]
            for file in others:
                known.update(self._known(file, keys))
            known.update(_all(self._database, keys))
        except sqlite3.Error as error:
            raise self._explained(error) from error
        return known

    def record(self, answers: Iterable[tuple[Request, Answer]]) -> None:
        """Write answers durably, all or none; once this returns, they survive a kill."""
        scored: list[tuple[object, ...]] = []
        generated: list[tuple[object, ...]] = []
        for request, one in answers:
            key, counts = self._key(request), (one.tokens, one.cut_tokens, int(one.encoded_apart))
            if one.text is None:
                scored.append((key, *counts, one.logprob, None if one.is_greedy is None else int(one.is_greedy)))
            else:
                generated.append((key, *counts, one.text))
        self._model_is_new = False
        try:
            with self._database:
                self._insert(("logprob", "is_greedy"), scored)
                self._insert(("text",), generated)
        except sqlite3.Error as error:
            raise self._explained(error) from error

    def close(self) -> None:
        """Close the file; nothing is pending, since every batch was committed."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _insert(self, columns: Sequence[str], rows: list[tuple[object, ...]]) -> None:
        """Write rows with a key, the counts and the values of `columns`; the other columns stay NULL.

        The model is written into the statement, and the values are numbers and texts: `sqlite3` takes half as long for
        a row as with every column bound and with values of the type `bool`, for which it looks for a conversion.
        """
        rows.sort(key=itemgetter(0))  # rows with neighbouring keys are in the same pages, which are then written once
        names, own = ("key", *_COUNTS, *columns), self._fingerprint.hex()
        marks = ", ".join("?" * len(names))
        statement = f"INSERT OR IGNORE INTO answers (answerer, {', '.join(names)}) VALUES (X'{own}', {marks})"  # noqa: S608 - our own names
        self._database.executemany(statement, rows)

    def _key(self, request: Request) -> bytes:
        return hashlib.sha256(self._fingerprint + _as_json(request).encode()).digest()

    def _is_other_file(self, file: Path) -> bool:
        """Whether this object does not have the file open."""
        assert self._place is not None
        return self._read_only or file != self._place.file

    def _known(self, file: Path, keys: Sequence[bytes]) -> dict[int, Answer]:
        """Return the answers in a file that this object does not have open."""
        assert self._place is not None
        if file == self._place.file:  # in a read-only cache; read again each time, because other hosts may write to it
            with closing(_open_shared(file)) as shared:
                return dict(_all(shared, keys))
        try:
            return read_other(file, lambda other: dict(_all(other, keys)) if _version(other) else {}) or {}
        except sqlite3.Error as error:
            raise _explained(file, error) from error

    def _explained(self, error: Exception) -> HarnessError:
        return _explained(None if self._place is None else self._place.file, error)


def _as_json(request: Request) -> str:
    """Return what ``json.dumps(request)`` returns, in a third of its time."""
    kind, context, continuation, generation, repeat, seed = request
    texts = f"{quoted(kind)}, {quoted(context)}, {quoted(continuation)}, {quoted(generation)}"
    return f"[{texts}, {repeat}, {'null' if seed is None else seed}]"


def _explained(path: Path | None, error: Exception) -> HarnessError:
    """Return the error for what SQLite or the system says about the journal's file."""
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        return DamagedJournalError(
            f"{path}: damaged, or not a journal that this release can read ({error}); move it away and the requests "
            "are sent again. `harness eval --no_cache` runs without a journal."
        )
    return JournalError(
        f"{path}: the journal cannot be used ({error}). Earlier answers are safe. Free disk space, correct its "
        "permissions, or wait until no other run uses it; `harness eval --no_cache` runs without it."
    )


def _open_shared(path: Path) -> sqlite3.Connection:
    """Open the journal of a read-only cache. Without one, or when it holds no table yet, it is empty."""
    if not path.exists():
        return _open(None)
    database = open_to_read(path)
    version = _version(database)
    if version == 0:
        database.close()
        return _open(None)
    return database


def _open(place: Place | None) -> sqlite3.Connection:
    if place is not None:
        place.file.parent.mkdir(parents=True, exist_ok=True)
    # `JournalWriter` uses the connection in a thread of its own, never in two threads at once.
    file = ":memory:" if place is None else place.file
    database = sqlite3.connect(file, timeout=BUSY_SECONDS, check_same_thread=False)
    # With these settings a commit also survives a power cut: WAL needs FULL, mode delete needs EXTRA.
    if place is not None:
        _switch_mode(database, place)
        database.execute(f"PRAGMA synchronous = {'FULL' if place.mode == 'wal' else 'EXTRA'}")
    version = _version(database)  # refuses other formats before anything is changed
    database.executescript(_SCHEMA)
    if version != SCHEMA_VERSION:
        _bring_up_to_date(database)
    return database


def _bring_up_to_date(database: sqlite3.Connection) -> None:
    with database:
        database.execute("BEGIN IMMEDIATE")  # of several processes, only one adds the column
        if not _has_encoded_apart(database):
            database.execute("ALTER TABLE answers ADD COLUMN encoded_apart INTEGER NOT NULL DEFAULT 0")
        database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")


def _has_encoded_apart(database: sqlite3.Connection) -> bool:
    """Whether the answers have the column that format 1 had not."""
    return any(column[1] == "encoded_apart" for column in database.execute("PRAGMA table_info(answers)"))


def _version(database: sqlite3.Connection) -> int:
    """Return the format of an open journal, 0 before its tables are made; close it if the format is unknown."""
    version = int(database.execute("PRAGMA user_version").fetchone()[0])
    if not 0 <= version <= SCHEMA_VERSION:
        database.close()
        raise sqlite3.DatabaseError(f"its format is {version}, this release reads up to {SCHEMA_VERSION}")
    return version


def _switch_mode(database: sqlite3.Connection, place: Place) -> None:
    """Switch the journal mode. Retry while another process does the same, because SQLite does not wait for that.

    WAL lets others read while one process writes. Where SQLite cannot use it, it keeps mode delete, which is safe too.

    Raises:
        sqlite3.OperationalError: SQLite stays in WAL, which is unsafe on this file system.
    """
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            mode = str(database.execute(f"PRAGMA journal_mode = {place.mode}").fetchone()[0])
            if mode not in (place.mode, "delete"):
                raise sqlite3.OperationalError(f"its mode is {mode}, which is unsafe on {place.file_system}")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _all(database: sqlite3.Connection, keys: Sequence[bytes]) -> Iterator[tuple[int, Answer]]:
    """Yield the answers in an open journal by index of `keys`."""
    for start in range(0, len(keys), LOOKUP_CHUNK):
        chunk = keys[start : start + LOOKUP_CHUNK]
        found = _select(database, chunk)
        if found:
            yield from ((start + at, found[key]) for at, key in enumerate(chunk) if key in found)


def _select(database: sqlite3.Connection, keys: Sequence[bytes]) -> dict[bytes, Answer]:
    marks = ",".join("?" * len(keys))
    apart = "encoded_apart" if _has_encoded_apart(database) else "0"  # a read-only file cannot be brought up to date
    columns = ", ".join((*_COLUMNS[:-1], apart))
    query = f"SELECT key, {columns} FROM answers WHERE key IN ({marks})"  # noqa: S608 - our own names
    return {key: _answer(values) for key, *values in database.execute(query, keys)}


def _answer(values: Sequence[object]) -> Answer:
    """Return the answer that a row holds, with its values in the order of `_COLUMNS`.

    Raises:
        sqlite3.DatabaseError: a value is none that an engine gives; SQLite allows any value in any column.
    """
    logprob, is_greedy, text, tokens, cut_tokens, encoded_apart = values
    counts = isinstance(tokens, int) and isinstance(cut_tokens, int) and min(tokens, cut_tokens) >= 0
    scored = isinstance(logprob, float | int) and -math.inf < logprob <= LARGEST_LOGPROB and text is None
    generated = isinstance(text, str) and logprob is None
    if not counts or not (scored or generated) or is_greedy not in (None, 0, 1):
        raise sqlite3.DatabaseError("an answer in it has a value that no engine gives")
    assert isinstance(tokens, int)
    assert isinstance(cut_tokens, int)
    return Answer(
        logprob=logprob if isinstance(logprob, float | int) else None,
        is_greedy=None if is_greedy is None else bool(is_greedy),
        text=text if isinstance(text, str) else None,
        tokens=tokens,
        cut_tokens=cut_tokens,
        encoded_apart=bool(encoded_apart),
    )


def clear(path: Path) -> None:
    """Delete all answers. A process on this machine may be writing; it keeps the answers that it writes afterwards.

    On a network file system, this deletes the answers of all hosts, so no other host may be writing. A file that is
    damaged or not a journal is removed.

    Raises:
        JournalError: a file can be neither emptied nor removed.
    """
    place = place_of(path)
    for file in files_of(path):
        _clear(replace(place, file=file))


def _clear(place: Place) -> None:
    path = place.file
    files = [path, *beside(path)]
    try:
        try:
            database = _open(place)
            try:
                with database:
                    database.execute("DELETE FROM answers")
                database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
                database.execute("VACUUM")
            finally:
                database.close()
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            for file in files:
                file.unlink(missing_ok=True)
    except (sqlite3.Error, OSError) as error:
        busy = "locked" in str(error) or "busy" in str(error)
        remedy = "try again" if busy else "free space or permissions there, or delete the file"
        raise JournalError(f"{path}: the journal cannot be cleared ({error}); {remedy} when no run uses it.") from error


def answer_counts(path: Path) -> list[tuple[str, int]]:
    """Return ``(fingerprint in JSON, number of answers)`` per model, most answers first. Changes nothing.

    On a network file system, an answer that two hosts hold counts twice.

    Raises:
        JournalError: a file cannot be read.
        DamagedJournalError: it is damaged, or not a journal that this release can read.
    """
    counts = Counter[str]()
    for own in _read_each(path, _counts):
        counts.update(own)
    return counts.most_common()


def model_names(path: Path) -> dict[str, list[str]]:
    """Return what each model was called, by its fingerprint in JSON; earlier releases did not write that down.

    Raises:
        JournalError: a file cannot be read.
        DamagedJournalError: it is damaged, or not a journal that this release can read.
    """
    names: dict[str, set[str]] = {}
    for own in _read_each(path, _names):
        for description, name in own:
            names.setdefault(description, set()).add(name)
    return {description: sorted(own) for description, own in names.items()}


def _read_each(path: Path, read: Callable[[sqlite3.Connection], Result]) -> Iterator[Result]:
    """Yield what `read` finds in the file of each host. Raises: JournalError, DamagedJournalError."""
    own = place_of(path).file
    for file in files_of(path):
        try:
            if file == own:
                with closing(open_to_read(file)) as database:
                    found: Result | None = read(database)
            else:
                found = read_other(file, read)
        except (sqlite3.Error, OSError) as error:
            raise _explained(file, error) from error
        if found is not None:
            yield found


def _counts(database: sqlite3.Connection) -> dict[str, int]:
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'answers'").fetchone():
        return {}  # killed before the first table was made
    query = "SELECT description, COUNT(*) FROM answers JOIN answerers USING (answerer) GROUP BY answerer"
    return {str(description): int(count) for description, count in database.execute(query)}


def _names(database: sqlite3.Connection) -> list[tuple[str, str]]:
    if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'names'").fetchone():
        return []
    query = "SELECT description, name FROM names JOIN answerers USING (answerer)"
    return [(str(description), str(name)) for description, name in database.execute(query)]


def mode_of(path: Path) -> str | None:
    """Return the mode that SQLite reports for this host's file of a journal; None before there is one.

    Raises:
        JournalError: the file cannot be read.
        DamagedJournalError: it is damaged, or not a journal that this release can read.
    """
    file = place_of(path).file
    if not file.exists():
        return None
    try:
        with closing(open_to_read(file)) as database:
            return str(database.execute("PRAGMA journal_mode").fetchone()[0])
    except (sqlite3.Error, OSError) as error:
        raise _explained(file, error) from error
