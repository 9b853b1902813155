"""The files of a journal: one file, or on a network file system one file per host.

SQLite's WAL mode keeps its index in shared memory, which two machines do not share: if both write, they damage the
file. So on a file system that other machines may share, such as NFS or Lustre, each host writes to its own file, in a
mode that needs no shared memory, and reads the files of the other hosts:

    journal.sqlite            on a disk of this machine: mode wal, all processes write to it
    journal-node7.sqlite      on a network file system: mode delete, written by processes on node7 only

The files of other hosts are read without locks, because network file systems often ignore locks. Instead, two checks
before and after reading show that no transaction ran meanwhile: SQLite's transaction counter in the file's header is
unchanged, and there is no "-journal" file, which SQLite keeps beside the database during each transaction.
"""

from __future__ import annotations

import re
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from harness.file_systems import file_system

Result = TypeVar("Result")
TRIES = 20
SECONDS_BETWEEN = 0.05
BESIDE = ("-wal", "-shm", "-journal")  # what SQLite appends to a database's name; not a host, if it has no suffix
CHANGE_COUNTER = slice(24, 28)  # https://www.sqlite.org/fileformat2.html, "The Database Header"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where this host writes.

    Attributes:
        file: The SQLite file.
        mode: Its journal mode.
        file_system: Name of the file system.
    """

    file: Path
    mode: Literal["wal", "delete"]
    file_system: str


def place_of(path: Path) -> Place:
    """Return where this host writes the answers of the journal `path`."""
    path = _real(path)
    system = file_system(path.parent)
    if not system.network:
        return Place(file=path, mode="wal", file_system=system.name)
    host = re.sub(r"[^\w.-]", "_", socket.gethostname())
    return Place(file=path.with_name(f"{path.stem}-{host}{path.suffix}"), mode="delete", file_system=system.name)


def _real(path: Path) -> Path:
    """Return the file that a link to a journal names: SQLite keeps its own files beside that one."""
    return path.resolve() if path.is_symlink() else path


def files_of(path: Path) -> list[Path]:
    """Return the files of the journal `path` that exist, of all hosts."""
    path = _real(path)
    of_host = re.compile(rf"{re.escape(path.stem)}-[\w.-]+{re.escape(path.suffix)}")
    folder = path.parent.iterdir() if path.parent.is_dir() else ()
    others = (one for one in folder if of_host.fullmatch(one.name) and not one.name.endswith(BESIDE) and one.is_file())
    return sorted({*others, *([path] if path.exists() else [])})


def beside(file: Path) -> list[Path]:
    """Return the files that SQLite may keep beside a database file."""
    return [Path(f"{file}{ending}") for ending in BESIDE]


def read_other(file: Path, read: Callable[[sqlite3.Connection], Result]) -> Result | None:
    """Return what `read` finds in the file of another host; None if that host does not stop writing.

    Raises:
        sqlite3.Error: the file is damaged.
    """
    for _ in range(TRIES):
        before = _transactions(file)
        if before is not None:
            problem, result = None, None
            try:
                with closing(sqlite3.connect(f"{file.resolve().as_uri()}?immutable=1", uri=True)) as database:
                    result = read(database)
            except sqlite3.Error as error:
                problem = error
            if _transactions(file) == before:
                if problem is not None:
                    raise problem
                return result
        time.sleep(SECONDS_BETWEEN)
    return None


def _transactions(file: Path) -> bytes | None:
    """Return the file's transaction counter; None during a transaction, or if its write-ahead log is not empty."""
    try:
        if any(other.stat().st_size for other in beside(file) if other.exists() and not other.name.endswith("-shm")):
            return None
        with file.open("rb") as opened:  # opened again each time, because NFS checks for changes only then
            return opened.read(CHANGE_COUNTER.stop)[CHANGE_COUNTER]
    except OSError:  # just deleted
        return None
