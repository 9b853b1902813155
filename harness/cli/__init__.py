"""Commands and exit codes: the only room that prints, and the only one that imports all others, when a command runs.

Exit codes: 0 done; 1 the work failed; 2 the user's input is wrong (one line on standard error); 130 interrupted.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn, Protocol, cast

import harness
from harness.errors import HarnessError, did_you_mean

# command -> module of this package that has `add_arguments(parser)` and `run(args) -> exit code`
COMMANDS = {
    "eval": "Score checkpoints on tasks; write a record that survives a kill.",
    "compare": "Say which differences between models are real, task by task.",
    "leaderboard": "Rank models, and mark what cannot be told apart.",
    "rescore": "Score the answers of an old run again, with the tasks and metrics of today.",
    "train": "Make a checkpoint as a stage file says; the same command again goes on after a stop.",
    "lineage": "Show how a checkpoint came to be, back to its root.",
    "tasks": "List, show, validate and fetch tasks.",
    "cache": "Show or clear the journal of answers and the converted models.",
    "doctor": "Say what works on this machine and what is missing.",
}
INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors that names the command."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser() -> Parser:
    """Return the whole command line; no module that a command needs is imported for it."""
    parser = Parser(
        prog="harness",
        description="Which training stage, and which data, made this checkpoint better at reasoning, and is the "
        "difference real?",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"stage-harness {harness.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    for name, purpose in COMMANDS.items():
        command = commands.add_parser(name, help=purpose, description=purpose, allow_abbrev=False)
        _module(name).add_arguments(command)
    return parser


class CommandModule(Protocol):
    """What a module of this package offers."""

    def add_arguments(self, parser: argparse.ArgumentParser) -> None:
        """Declare the command's flags."""

    def run(self, args: argparse.Namespace) -> int:
        """Do the work; returns the exit code."""


def _module(command: str) -> CommandModule:
    return cast("CommandModule", importlib.import_module(f"harness.cli.{command}_command"))


def with_underscores(arguments: Sequence[str]) -> list[str]:
    """Let ``--output-path`` mean ``--output_path``: flags are lm-eval's, a dash works as well."""
    changed: list[str] = []
    for position, word in enumerate(arguments):
        if word == "--":
            return changed + list(arguments[position:])
        flag, equals, value = word.partition("=")
        changed.append("--" + flag[2:].replace("-", "_") + equals + value if flag.startswith("--") else word)
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    words = with_underscores(sys.argv[1:] if arguments is None else arguments)
    _check_command(words)
    _check_text(words)
    args = build_parser().parse_args(words)
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        return int(_module(args.command).run(args))
    except HarnessError as error:
        print(f"harness {args.command}: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print(f"harness {args.command}: interrupted; run the same command again to go on.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output went away, `| head` for one
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _check_command(words: Sequence[str]) -> None:
    """Argparse lists the commands when one is unknown; this adds the nearest."""
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        hint = did_you_mean(words[0], COMMANDS)
        Parser(prog="harness").error(f"{words[0]}: unknown command; give one of {', '.join(COMMANDS)}.{hint}")


def _check_text(words: Sequence[str]) -> None:
    """The words stand in records, which are UTF-8."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            Parser(prog="harness").error(f"{word!a}: is not UTF-8; give a path or a name that is.")


def _as_interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
