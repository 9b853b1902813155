"""The command line: words in, exit codes and printed lines out. Only commands print.

Exit codes: 0 done; 1 the work failed; 2 the user's input is wrong (one line on standard error); 130 interrupted.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import FrameType
from typing import NoReturn

import harness
from harness.cli.commands import command_names, load_command
from harness.errors import HarnessError, InputError, did_you_mean
from harness.visible import visible

INTERRUPTED = 130


class Parser(argparse.ArgumentParser):
    """argparse with one-line errors that start with the command's name."""

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def build_parser() -> Parser:
    """Return the whole command line. The libraries that a command needs are imported only when it runs."""
    parser = Parser(
        prog="harness",
        description="Which training stage, and which data, made this checkpoint better at reasoning, and is the "
        "difference real?",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"stage-harness {harness.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    for name in command_names():
        try:
            module = load_command(name)
        except InputError as error:  # a command of another package: the others still work
            commands.add_parser(name, help=str(error))
            continue
        command = commands.add_parser(name, help=module.PURPOSE, description=module.PURPOSE, allow_abbrev=False)
        module.add_arguments(command)
    return parser


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
    signal.signal(signal.SIGTERM, _interrupting(os.getpid()))
    try:
        return int(load_command(args.command).run(args))
    except HarnessError as error:
        print(f"harness {args.command}: {visible(error, one_line=True)}", file=sys.stderr)
        return error.exit_code
    except SystemExit as stop:  # of a task's Python or a library: no command ends this way
        print(
            f"harness {args.command}: Python of a task or library called sys.exit({stop.code!r:.60}), so the work is "
            "not finished; correct that code.",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        print(f"harness {args.command}: interrupted; run the same command again to go on.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # the reader of our output ended first, such as `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _check_command(words: Sequence[str]) -> None:
    """Refuse an unknown command, naming the nearest; argparse would only list them."""
    if words and not words[0].startswith("-") and words[0] not in command_names():
        hint = did_you_mean(words[0], command_names())
        Parser(prog="harness").error(f"{words[0]}: unknown command; give one of {', '.join(command_names())}.{hint}")


def _check_text(words: Sequence[str]) -> None:
    """Refuse words that are not UTF-8: the command line is written into records, which are."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            Parser(prog="harness").error(f"{word!a}: is not UTF-8; give a path or a name that is.")


def _interrupting(process: int) -> Callable[[int, FrameType | None], None]:
    """Return a handler that ends the command as Ctrl-C does.

    A process that the command forks inherits it, such as a worker of a metric's pool. SIGTERM just ends such a process.
    """

    def handle(number: int, _frame: FrameType | None) -> None:
        if os.getpid() == process:
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    return handle
