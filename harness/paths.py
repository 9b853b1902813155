"""Default folders: the cache, the benchmark data and the task definitions."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path

from harness.errors import InputError

_data_dir: ContextVar[Path | None] = ContextVar("data_dir", default=None)
"""The folder that `use_data_dir` names; None outside of its block."""


def cache_dir() -> Path:
    """Return the folder of journal, fetched data and converted models: `HARNESS_CACHE_DIR`, else the user's cache.

    It is created for this user alone, whatever the umask, if possible. With `HARNESS_CACHE_READ_ONLY`, the folder may
    belong to anyone, because the user trusts whoever fills it.

    Raises:
        InputError: Other users own the folder or can write to it. They could change answers and data in it.
    """
    chosen = os.environ.get("HARNESS_CACHE_DIR")
    if chosen:
        folder = Path(chosen).expanduser()
    elif sys.platform == "darwin":
        folder = Path.home() / "Library" / "Caches" / "stage-harness"
    else:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stage-harness"
    if cache_is_read_only():
        return folder
    with suppress(OSError):  # what needs the folder says what is wrong
        folder.mkdir(mode=0o700, parents=True)
    _check_private(folder)
    return folder


def split_folders(text: str) -> list[Path]:
    """Return the folders in a word such as ``a:b``; a folder with a colon in its name stays whole."""
    if os.path.isdir(text):  # noqa: PTH112 - false for a word too long for a path, too
        return [Path(text)]
    return [Path(part) for part in text.split(os.pathsep) if part] or [Path(text)]


def cache_is_read_only() -> bool:
    """Return whether `HARNESS_CACHE_READ_ONLY` is set, so that nothing may be written to the cache folder."""
    return os.environ.get("HARNESS_CACHE_READ_ONLY", "") not in ("", "0")


def writable_cache_dir(what: str) -> Path:
    """Return the cache folder for writing.

    Args:
        what: What would be written, for the message: "the data file mbpp".

    Raises:
        InputError: The cache is read-only, or `cache_dir` refuses the folder.
    """
    folder = cache_dir()
    if cache_is_read_only():
        raise InputError(
            f"cache folder {folder}: does not contain {what}, and HARNESS_CACHE_READ_ONLY is set; ask its owner to add "
            "it, or unset HARNESS_CACHE_READ_ONLY and name your own folder in HARNESS_CACHE_DIR."
        )
    return folder


def _check_private(folder: Path) -> None:
    try:
        status = folder.stat()
    except OSError:
        return
    if not stat.S_ISDIR(status.st_mode):
        return
    another = (
        "name another folder in HARNESS_CACHE_DIR, or set HARNESS_CACHE_READ_ONLY=1 if you trust the files in this one"
    )
    if status.st_uid not in (os.geteuid(), 0):
        raise InputError(f"cache folder {folder}: belongs to another user (number {status.st_uid}); {another}.")
    # A group with the user's own number has no other members: that is how Linux names private groups.
    shared_group = status.st_mode & stat.S_IWGRP and status.st_gid != status.st_uid
    if status.st_mode & stat.S_IWOTH or shared_group:
        mode = f"mode {stat.S_IMODE(status.st_mode):o}"
        raise InputError(
            f"cache folder {folder}: other users can write to it ({mode}); run `chmod go-w {folder}`, or {another}."
        )


def data_dir() -> Path | None:
    """Return the folder of benchmark data in upstream's layout: `use_data_dir`'s, else `HARNESS_DATA`, else None."""
    named = _data_dir.get()
    if named is not None:
        return named
    named_by_environment = os.environ.get("HARNESS_DATA")
    return Path(named_by_environment).expanduser() if named_by_environment else None


def check_data_dir(folder: Path | None) -> None:
    """Check that the folder of --data_dir exists, if one is given. Raises: InputError: it does not."""
    if folder is not None and not folder.expanduser().is_dir():
        raise InputError(f"--data_dir {folder}: no such folder; correct or remove it.")


@contextmanager
def use_data_dir(path: Path | None) -> Iterator[None]:
    """Make `data_dir` return `path` inside the block, whatever `HARNESS_DATA` says::

        with use_data_dir(Path("data")):
            loaded = catalogue.load(["logiqa_cloze"])

    A context manager and not an argument, because lm-eval calls the loaders in task files and passes them nothing of
    ours. The environment stays as it is, so nothing leaks into later work or into child programs.

    A forked process sees the folder; a new thread or a spawned process does not, unless it runs in a copy of this
    context (`contextvars.copy_context().run`) or is given the path. Do not `yield` from a generator inside the block:
    a generator shares its caller's context, so the caller would see the folder between two steps.

    Args:
        path: The folder, ``~`` allowed; None changes nothing, for an option that was not given.
    """
    if path is None:
        yield
        return
    token = _data_dir.set(path.expanduser())
    try:
        yield
    finally:
        _data_dir.reset(token)


def tasks_dir() -> Path:
    """Return the folder of task definitions; in a source checkout `_tasks` is a link to ``tasks``."""
    return (Path(__file__).parent / "_tasks").resolve()


def stages_dir() -> Path:
    """Return the folder of example stage files; in a source checkout `_stages` is a link to ``experiments/stages``."""
    return (Path(__file__).parent / "_stages").resolve()
