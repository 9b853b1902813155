"""``harness cache info|clear``: the journal of answers, converted models, fetched data, downloads, digests, indexes."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from harness.errors import InputError
from harness.flags import add_wide
from harness.visible import say

PURPOSE = "Show or clear the journal of answers and the converted models."
PARTS = ("journal", "models", "data", "downloads", "digests", "view")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the sub-commands."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    info = actions.add_parser("info", help="show the folder, the size of each part, and the number of answers by model")
    add_wide(info)
    clear = actions.add_parser("clear", help="delete parts of the cache; deleted answers are computed again")
    clear.add_argument("parts", nargs="+", choices=(*PARTS, "all"), metavar="PART", help=f"{', '.join(PARTS)}, or all")


def run(args: argparse.Namespace) -> int:
    """Run one action."""
    return _info(wide=args.wide) if args.action == "info" else _clear(args.parts)


def _info(*, wide: bool) -> int:
    from harness.cli.cache_tables import models_table, parts_table
    from harness.console import stdout
    from harness.evaluation.journal import answer_counts, default_path, model_names
    from harness.paths import cache_dir, cache_is_read_only
    from harness.terminal_table import print_table

    counts, names = answer_counts(default_path()), model_names(default_path())
    sizes = {part: sum(_size(file) for path in _paths(part) for file in _files(path)) for part in PARTS}
    console = stdout()
    console.print(f"cache folder: {cache_dir()}{' (read-only)' if cache_is_read_only() else ''}", soft_wrap=True)
    console.print()
    print_table(parts_table(sizes), console, wide=wide)
    if counts:
        console.print()
        print_table(models_table(counts, names), console, wide=wide)
    return 0


def _clear(parts: list[str]) -> int:
    from harness.evaluation.journal import clear, default_path
    from harness.paths import cache_dir, cache_is_read_only

    if cache_is_read_only():
        raise InputError(f"cache folder {cache_dir()}: HARNESS_CACHE_READ_ONLY is set; unset it to clear the folder.")
    for part in PARTS if "all" in parts else parts:
        if part == "journal":
            clear(default_path())
        else:
            _delete(_paths(part))
        say(f"cleared: {part}")
    return 0


def _delete(paths: list[Path]) -> None:
    for path in paths:
        try:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise InputError(
                f"{error.filename or path}: cannot be deleted ({error.strerror}); check who owns and uses it."
            ) from None


def _paths(part: str) -> list[Path]:
    from harness.evaluation.journal import default_path
    from harness.paths import cache_dir

    if part != "journal":
        path = cache_dir() / ("digests.sqlite" if part == "digests" else part)
        return [path] if path.exists() else []
    from harness.evaluation.journal_files import beside, files_of

    files = files_of(default_path())
    return [path for file in files for path in (file, *beside(file)) if path.exists()]


def _size(file: Path) -> int:
    try:
        return file.lstat().st_size
    except OSError:  # deleted meanwhile
        return 0


def _files(path: Path) -> list[Path]:
    return [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
