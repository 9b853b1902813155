"""Digests that tell checkpoints apart by their bytes, never by their paths.

Hashing gigabytes takes time, so a file's digest is remembered by its size, modification time and inode; a file that
was written again differs in one of them. `verify=True` hashes afresh.
"""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from harness.paths import cache_dir


def file_digest(path: Path, *, verify: bool = False) -> str:
    """Return the sha256 of a file, from memory when the same bytes were hashed before.

    Args:
        path: The file.
        verify: Hash the bytes even when the digest is remembered.
    """
    stat = path.stat()
    key = f"{path.resolve()}|{stat.st_size}|{stat.st_mtime_ns}|{stat.st_ino}"
    memory = _Memory(cache_dir() / "digests.sqlite")
    known = None if verify else memory.get(key)
    if known is not None:
        return known
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    memory.put(key, digest)
    return digest


class _Memory:
    """Digests by file identity; a lost or unreadable memory only costs time, so its faults are not errors."""

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
        try:
            with closing(self._open()) as database, database:
                database.execute("INSERT OR REPLACE INTO digests VALUES (?, ?)", (key, digest))
        except (sqlite3.Error, OSError):
            return

    def _open(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        database = sqlite3.connect(self._path, timeout=10)
        database.execute("CREATE TABLE IF NOT EXISTS digests (key TEXT PRIMARY KEY, digest TEXT NOT NULL)")
        return database
