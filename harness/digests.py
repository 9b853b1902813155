"""SHA-256 digests of files, which identify checkpoints by their bytes and not by their paths.

Hashing gigabytes takes time, so digests are cached by path, size, modification time and inode. A file that is rewritten
differs in one of them. `verify=True` ignores the cache.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from harness.paths import cache_dir, cache_is_read_only

BUSY_SECONDS = 10


def file_digest(path: Path, *, verify: bool = False) -> str:
    """Return the SHA-256 of a file, from the cache if the file has not changed since it was hashed.

    Args:
        path: The file.
        verify: Hash the bytes even if the digest is cached.
    """
    stat = path.stat()
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"
    cached = _DigestCache(cache_dir() / "digests.sqlite")
    known = None if verify else cached.get(key)
    if known is not None:
        return known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    cached.put(key, digest)
    return digest


def open_to_read(path: Path, *, shared: bool = False) -> sqlite3.Connection:
    """Open an SQLite file to read. SQLite may put its own lock files beside it, where it may write.

    In a read-only folder, entries that the last writer left in the write-ahead log (WAL) are not seen.

    Args:
        path: The file.
        shared: Whether several threads use the connection, one at a time.
    """
    place = path.resolve().as_uri()
    database = sqlite3.connect(f"{place}?mode=ro", uri=True, timeout=BUSY_SECONDS, check_same_thread=not shared)
    try:
        database.execute("SELECT 1 FROM sqlite_master").fetchone()
    except sqlite3.OperationalError as error:
        database.close()
        if "unable to open" not in str(error) and "readonly" not in str(error):
            raise
        database = sqlite3.connect(f"{place}?mode=ro&immutable=1", uri=True, check_same_thread=not shared)
    return database


class _DigestCache:
    """Digests by file identity. A lost or unreadable cache only costs time, so its errors are ignored."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def get(self, key: str) -> str | None:
        try:
            with closing(self._open()) as database:
                row = database.execute("SELECT digest FROM digests WHERE key = ?", (key,)).fetchone()
        except (sqlite3.Error, OSError):
            return None
        return str(row[0]) if row else None

    def put(self, key: str, digest: str) -> None:
        if cache_is_read_only():
            return
        try:
            with closing(self._open()) as database, database:
                database.execute("INSERT OR REPLACE INTO digests VALUES (?, ?)", (key, digest))
        except (sqlite3.Error, OSError):
            return

    def _open(self) -> sqlite3.Connection:
        if cache_is_read_only():
            return open_to_read(self._path)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=BUSY_SECONDS)
        database.execute("CREATE TABLE IF NOT EXISTS digests (key TEXT PRIMARY KEY, digest TEXT NOT NULL)")
        return database
