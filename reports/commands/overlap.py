"""``harness overlap STAGE.yaml|DIR|DATA... --tasks NAMES``: which items of a task occur in training data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import InputError
from harness.flags import add_wide
from harness.paths import check_data_dir, split_folders
from harness.reports.commands.output import SUFFIXES, command_line, output_format, split_names, write_document

if TYPE_CHECKING:
    from harness.overlap.index import ItemIndex

PURPOSE = "List the items of tasks that occur in training data."
FORMATS = ("table", "md", "csv", "json", "latex")
LEAST = {"ngram_words": 5, "ngram_characters": 15}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "places",
        nargs="+",
        metavar="PLACE",
        help="a stage file; the output folder of a stage, for what was streamed; or files, folders and globs of data",
    )
    parser.add_argument(
        "--tasks", required=True, metavar="NAMES", help="tasks or groups, separated by commas; no model is needed"
    )
    parser.add_argument(
        "--include_path",
        type=split_folders,
        action="extend",
        default=[],
        metavar="DIR",
        help="folder of task YAML files, or several as a:b, whose Python is run as by `eval`; repeatable",
    )
    parser.add_argument("--data_dir", type=Path, metavar="DIR", help="benchmark data (HARNESS_DATA)")
    parser.add_argument("--ngram_words", type=int, default=13, metavar="N", help="words of an n-gram (default: 13)")
    parser.add_argument(
        "--ngram_characters",
        type=int,
        default=50,
        metavar="N",
        help="letters and digits of an n-gram of code or Chinese (default: 50)",
    )
    parser.add_argument(
        "--min_share",
        type=float,
        default=0.0,
        metavar="SHARE",
        help="count an item only if this share of its n-grams stands in a source, such as 0.7 (default: any n-gram)",
    )
    parser.add_argument("--format", choices=FORMATS, help="default: the ending of --output_path, otherwise a table")
    parser.add_argument(
        "--output_path",
        type=Path,
        metavar="FILE",
        help="file to write instead of standard output; .json lists every item, for `leaderboard --overlap`",
    )
    parser.add_argument("--fail_on_overlap", action="store_true", help="exit with 1 if an item overlaps")
    add_wide(parser)


def run(args: argparse.Namespace) -> int:
    """Search, and print or write the result."""
    check(args)
    from harness.console import quiet_libraries

    quiet_libraries()
    from harness.overlap.streams import open_streams
    from harness.reports.commands.progress import CharactersProgress
    from harness.reports.documents.overlap import overlap_document

    index = _index(args)
    streams = open_streams(args.places)
    from harness.overlap.scanning import scan

    with CharactersProgress() as progress:
        overlaps = [scan(stream, index, progress.advance).with_share(args.min_share, index) for stream in streams]
    whole = output_format(args) == "json"
    document = overlap_document(index, overlaps, command_line(), whole=whole, min_share=args.min_share)
    write_document(document, args)
    return 1 if args.fail_on_overlap and any(overlap.items for overlap in overlaps) else 0


def check(args: argparse.Namespace) -> None:
    """Check the values of the flags.

    Raises:
        InputError: a value is outside its range, or a folder does not exist.
    """
    kind = output_format(args)
    if kind not in FORMATS:
        endings = ", ".join(suffix for suffix, name in SUFFIXES.items() if name in FORMATS)
        raise InputError(f"--output_path {args.output_path}: is no format of this command; give {endings}.")
    for name, least in LEAST.items():
        if getattr(args, name) < least:
            raise InputError(
                f"--{name} {getattr(args, name)}: shorter n-grams stand in any text; give {least} or more."
            )
    if not 0.0 <= args.min_share <= 1.0:
        raise InputError(f"--min_share {args.min_share}: give a share of an item's n-grams, from 0 to 1.")
    check_data_dir(args.data_dir)


def _index(args: argparse.Namespace) -> ItemIndex:
    """Return the n-grams of the items of all tasks whose data is here."""
    from harness.console import stderr
    from harness.overlap.index import ItemIndex, NgramSizes
    from harness.overlap.items import items_of
    from harness.paths import use_data_dir
    from harness.suite.catalogue import Catalogue
    from harness.suite.selection import with_data

    with use_data_dir(args.data_dir):
        catalogue = Catalogue(args.include_path)
        names, notes = with_data(split_names(args.tasks), catalogue)
        if not names:
            raise InputError(f"--tasks {args.tasks}: names no task; give tasks or groups, separated by commas.")
        items = items_of(catalogue.load(names).tasks)
    for note in notes:
        stderr().print(note)
    return ItemIndex(items, NgramSizes(words=args.ngram_words, characters=args.ngram_characters))
