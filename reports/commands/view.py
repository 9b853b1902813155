"""``harness view RUNS...``: every item of every model in a browser, on this machine only."""

from __future__ import annotations

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from harness.errors import InputError
from harness.reports.commands.output import add_selection_arguments, split_names
from harness.visible import say

PURPOSE = "Show every item of every model in a browser: filters, search, side by side."
NEEDED = ("starlette", "uvicorn", "orjson")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument(
        "runs",
        type=Path,
        nargs="+",
        metavar="RUNS",
        help="folders with runs of `harness eval` or `lm_eval --log_samples`, at any depth",
    )
    parser.add_argument(
        "--port", type=int, metavar="N", help="port on 127.0.0.1; default: 8765, or any free one if it is taken"
    )
    add_selection_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Index the records, and serve the pages until the user ends it."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise InputError(
            f"{', '.join(missing)}: not installed, but the viewer needs it; pip install 'stage-harness[view]'."
        )

    from harness.records import index
    from harness.reports.view.options import Options
    from harness.reports.view.pages import Pages
    from harness.reports.view.preparing import prepared
    from harness.reports.view.server import serve

    records = index(args.runs, tasks=split_names(args.tasks), all_runs=args.all, skip_broken=args.skip_broken)
    options = Options(
        runs=tuple(map(str, args.runs)), flags=_flags(args), force=args.force, skip_broken=args.skip_broken
    )
    pages = Pages(prepared(records, options), records, options)
    serve(pages, args.port, _announce)
    return 0


def _announce(address: str) -> None:
    say(f"{address}\nOpen this address; Ctrl-C ends the viewer.")
    sys.stdout.flush()  # a pipe would keep it until the end


def _flags(args: argparse.Namespace) -> tuple[str, ...]:
    tasks = ("--tasks", args.tasks) if args.tasks else ()
    return (*tasks, *(f"--{name}" for name in ("all", "force", "skip_broken") if getattr(args, name)))
