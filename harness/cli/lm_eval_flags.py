"""Flags of lm-eval that change nothing here, because something else does their work: each prints a line that names it.

All other flags of lm-eval act, and stand in `eval_flags`.
"""

from __future__ import annotations

import argparse

from harness.cli import flag_values as read

NOTES = {
    "log_samples": "the samples of a record are always written.",
    "cache_requests": "prompts are rendered in each run; the journal keeps the answers (--use_cache FILE names it).",
    "max_batch_size": "--batch_size N sets the size; if memory runs out, it is halved and the work goes on.",
    "check_integrity": "`harness tasks validate NAMES` checks definitions, data and answer keys.",
}
AUTO_TIMES = "the size is found once, and is halved if memory runs out."


def add_arguments(group: argparse._ArgumentGroup) -> None:
    """Declare them."""
    group.add_argument("--log_samples", "-s", action="store_true", help="samples are always written")
    group.add_argument(
        "--cache_requests",
        nargs="?",
        const="true",
        choices=("true", "refresh", "delete"),
        metavar="true|refresh|delete",
        help="the journal keeps answers instead",
    )
    group.add_argument("--max_batch_size", type=read.positive, metavar="N", help="use --batch_size")
    group.add_argument("--check_integrity", action="store_true", help="use `harness tasks validate`")


def notes(args: argparse.Namespace) -> list[str]:
    """Return a line for each of these flags that is given, and for ``--batch_size auto:N``."""
    lines = []
    for name, note in NOTES.items():
        value = getattr(args, name)
        if value:
            lines.append(f"--{name}{'' if value is True else f' {value}'}: {note}")
    if str(args.batch_size).startswith("auto:"):
        lines.append(f"--batch_size {args.batch_size}: {AUTO_TIMES}")
    return lines
