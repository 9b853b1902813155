"""`harness status`: which nodes of a study are done, running, failed or waiting."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

PURPOSE = "Show which nodes of a study are done, running, failed or waiting."
SECONDS_BETWEEN = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the flags."""
    parser.add_argument("folder", type=Path, metavar="DIR", help="the --output_path of `harness run`")
    parser.add_argument("--follow", action="store_true", help="print again whenever it changes, until the run ends")


def run(args: argparse.Namespace) -> int:
    """Print the states; return 1 if a node has failed."""
    from harness.cli.study_tables import print_states
    from harness.console import stdout
    from harness.study.folder import StudyFolder
    from harness.study.states import node_states

    folder, console = StudyFolder(args.folder), stdout()
    states = node_states(folder)
    print_states(states, console)
    while args.follow and folder.in_use():
        time.sleep(SECONDS_BETWEEN)
        before, states = states, node_states(folder)
        if states != before:
            if console.is_terminal:
                console.clear()
            else:
                console.print()
            print_states(states, console)
    return 1 if any(state.state == "failed" for state in states) else 0
