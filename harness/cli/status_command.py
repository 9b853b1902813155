"""`harness status`: which nodes of a study are done, running, failed or waiting."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness.flags import add_wide

if TYPE_CHECKING:
    from harness.study.folder import StudyFolder
    from harness.study.states import NodeState

PURPOSE = "Show which nodes of a study are done, running, failed or waiting."
SECONDS_BETWEEN = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the --output_path of `harness run`")
    parser.add_argument("--follow", action="store_true", help="print again whenever it changes, until the run ends")
    add_wide(parser)


def run(args: argparse.Namespace) -> int:
    """Print the states; return 1 if a node has failed."""
    from harness.cli.study_tables import print_states
    from harness.console import stdout
    from harness.study.folder import StudyFolder

    folder, console = StudyFolder(args.folder), stdout()
    shown = _seen(folder)
    print_states(*shown, console, wide=args.wide)
    while args.follow and folder.in_use():
        time.sleep(SECONDS_BETWEEN)
        before, shown = shown, _seen(folder)
        if shown != before:
            if console.is_terminal:
                console.clear()
            else:
                console.print()
            print_states(*shown, console, wide=args.wide)
    return 1 if any(state.state == "failed" for state in shown[0]) else 0


def _seen(folder: StudyFolder) -> tuple[list[NodeState], str]:
    """Return the states, and a sentence on who runs the study; it is empty if all nodes are done."""
    from harness.study.states import node_states

    states = node_states(folder)
    if folder.in_use():
        return states, f"Run by {folder.holder()}."
    if all(state.state == "done" for state in states):
        return states, ""
    last = f" (the last one was {folder.holder()})" if (folder.path / "lock").is_file() else ""
    return states, f"No run is active{last}; the same `harness run` command resumes."
