"""Digests of files and folders that nodes read."""

from __future__ import annotations

import glob
import hashlib
from collections.abc import Iterable
from pathlib import Path

from harness.digests import file_digest
from harness.paths import data_dir

LEFT_OUT = ("__pycache__", "node_modules", "site-packages")
SMALL_BYTES = 1_000_000


def files_at(text: str) -> tuple[list[Path], Path | None]:
    """Return the files of a path, a folder or a glob, and the folder itself if the text names one.

    Relative paths start from the working folder, then from the data folder, as in trainers and tasks.
    """
    path, folder = Path(text).expanduser(), data_dir()
    for place in [path] if path.is_absolute() or folder is None else [path, folder / path]:
        files = [place] if place.is_file() else files_in(place) if place.is_dir() else _matching(place)
        if files:
            return files, place if place.is_dir() else None
    return [], None


def digest_at(text: str) -> str | None:
    """Return the digest of the files that a text names; None if there are none."""
    files, base = files_at(text)
    return (
        digest_of_files((str(file.relative_to(base)) if base else file.name, file) for file in files) if files else None
    )


def _matching(pattern: Path) -> list[Path]:
    names = glob.glob(str(pattern), recursive=True)  # noqa: PTH207 - absolute globs too
    return [path for path in sorted(map(Path, names)) if path.is_file()]


def files_in(folder: Path, suffixes: tuple[str, ...] = ()) -> list[Path]:
    """Return the files below a folder, without hidden ones and installed packages."""
    files = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") or part in LEFT_OUT for part in parts)
        if not hidden and path.is_file() and (not suffixes or path.suffix in suffixes):
            files.append(path)
    return files


def digest_of_files(files: Iterable[tuple[str, Path]]) -> str:
    """Return the digest of files and of the names given for them."""
    total = hashlib.sha256()
    for name, path in files:
        total.update(f"{name}:{_digest_of_file(path)}\n".encode())
    return total.hexdigest()


def _digest_of_file(path: Path) -> str:
    """Return a file's digest. Hashing a small file, such as a task definition, is faster than looking up its digest."""
    small = path.stat().st_size <= SMALL_BYTES
    return hashlib.sha256(path.read_bytes()).hexdigest() if small else file_digest(path)
