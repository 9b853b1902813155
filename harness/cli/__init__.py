"""The command line: words in, exit codes and printed lines out. Only commands print.

Exit codes: 0 done; 1 the work failed; 2 the user's input is wrong (one line on standard error); 130 interrupted;
141 the output pipe was closed.
"""

from __future__ import annotations

import argparse
import functools
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType

import harness
from harness.cli import config_file
from harness.cli.closed_output import discard_unwritable_output, fault_of_the_machine, until_closed
from harness.cli.commands import command_names, load_command
from harness.cli.lm_eval_commands import COMMANDS, EVAL_FLAGS, own_command
from harness.cli.parser import Parser
from harness.errors import HarnessError, InputError, did_you_mean
from harness.redaction import without_url_secrets
from harness.visible import visible

__all__ = ["INTERRUPTED", "Parser", "build_parser", "main", "sub_parsers", "with_underscores"]

INTERRUPTED = 130
# Commands that may run in several ranks: eval and train share the work; doctor reports on each machine.
IN_RANKS = ("eval", "train", "doctor")


def build_parser() -> Parser:
    """Return the whole command line. The libraries that a command needs are imported only when it runs."""
    parser = Parser(
        prog="harness",
        description="Which training stage, and which data, made this checkpoint better at reasoning, and is the "
        "difference real?",
        epilog="lm-eval's command lines run with harness in place of lm-eval: harness --model hf --model_args "
        "pretrained=org/name --tasks hellaswag; see docs/from_lm_eval.md.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"stage-harness {harness.__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    for name in command_names():
        try:
            module = load_command(name)
        except InputError as error:  # of another package, or of another version: the others still work
            commands.add_parser(name, help=str(error))
            continue
        command = commands.add_parser(name, help=module.PURPOSE, description=module.PURPOSE, allow_abbrev=False)
        module.add_arguments(command)
        if name == "run":
            command.nearby = EVAL_FLAGS
        for leaf in _leaves(command):
            config_file.declare(leaf)
    return parser


def _leaves(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    """Return the parsers of a command's sub-commands, or its own if it has none."""
    inner = sub_parsers(parser)
    return [leaf for each in inner.values() for leaf in _leaves(each)] if inner else [parser]


def sub_parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of the sub-commands, by name."""
    actions = parser._actions  # noqa: SLF001 - argparse offers no other way to its sub-commands
    found = [action for action in actions if isinstance(action, argparse._SubParsersAction)]  # noqa: SLF001
    return dict(found[0].choices) if found else {}


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
    return until_closed(lambda: _main(words))


def _main(words: Sequence[str]) -> int:
    _check_text(words)
    args = _parsed(words)
    signal.signal(signal.SIGTERM, _interrupt)
    _end_forked_processes_at_once()
    try:
        _check_rank(args.command)
        code = int(load_command(args.command).run(args))
        sys.stdout.flush()
        return code
    except HarnessError as error:
        return _ended(args, _line(error), error.exit_code)
    except SystemExit as stop:  # of a task's Python or a library: no command ends this way
        called = f"the code of a task or a library called sys.exit({stop.code!r:.60})"
        return _ended(args, f"{called} before the work was done; remove that call.", 1)
    except KeyboardInterrupt:
        return _ended(args, "interrupted; run the same command again to resume.", INTERRUPTED)
    except OSError as error:
        if not (fault := fault_of_the_machine(error)):
            raise
        discard_unwritable_output()
        return _ended(args, visible(fault, one_line=True), 1)


def _ended(args: argparse.Namespace, line: str, code: int) -> int:
    print(f"harness {args.command}: {line}", file=sys.stderr)
    return code


def _line(error: HarnessError) -> str:
    """Return an error's message as one line without secrets."""
    return visible(without_url_secrets(str(error)), one_line=True)


def _parsed(words: Sequence[str]) -> argparse.Namespace:
    """Return the parsed command line, with the defaults of ``--config``; exits with 2 for a wrong one."""
    try:
        words = own_command(words)
        _check_command(words)
        if words and words[0] in command_names():
            load_command(words[0])
        parser = build_parser()
        leaf, rest = _leaf(parser, words)
        file = config_file.config_path(rest) if config_file.is_declared(leaf) else None
        if file is not None:
            config_file.apply(leaf, file, rest)
    except InputError as error:
        Parser(prog=f"harness {words[0]}").exit(2, f"harness {words[0]}: {_line(error)}\n")
    return parser.parse_args(words)


def _leaf(parser: argparse.ArgumentParser, words: Sequence[str]) -> tuple[argparse.ArgumentParser, Sequence[str]]:
    """Return the parser of the command, or of its sub-command, and the words that follow its name."""
    inner = sub_parsers(parser)
    position = next((at for at, word in enumerate(words) if word in inner), None)
    return (parser, words) if position is None else _leaf(inner[words[position]], words[position + 1 :])


def _check_command(words: Sequence[str]) -> None:
    """Refuse an unknown command, naming the nearest; argparse would only list them."""
    if words and not words[0].startswith("-") and words[0] not in command_names():
        hint = did_you_mean(words[0], [*command_names(), *COMMANDS])
        Parser(prog="harness").error(f"{words[0]}: unknown command; give one of {', '.join(command_names())}.{hint}")


def _check_rank(command: str) -> None:
    """Refuse a command that torchrun or srun runs several times, except in rank 0.

    `harness run` is refused there too: its own commands would wait for the other ranks.
    """
    if command in IN_RANKS or not os.environ.keys() & {"RANK", "SLURM_STEP_ID"}:
        return
    from harness.engines.replicated.ranks import number_of_rank

    number, size = number_of_rank(os.environ)
    if size > 1 and (number > 0 or command == "run"):
        raise InputError(
            f"rank {number} of {size}: only eval and train can share their work between ranks. Run this command once, "
            "without torchrun or srun, or separately in each process with `env -u RANK -u SLURM_STEP_ID`."
        )


def _check_text(words: Sequence[str]) -> None:
    """Refuse words that are not UTF-8: the command line is written into records, which are."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            Parser(prog="harness").error(f"{word!a}: is not UTF-8; give a path or a name that is.")


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End the command as Ctrl-C does."""
    raise KeyboardInterrupt


@functools.cache
def _end_forked_processes_at_once() -> None:
    """Let SIGTERM simply end the processes that this one forks, such as the workers of a metric's pool.

    Python runs a handler of its own between two instructions. A worker that waits for a lock gets to none, and whoever
    ends the pool then waits for the worker forever. The signal is held back while a process is forked, so that it
    never meets the handler there.
    """
    held = threading.local()

    def hold() -> None:
        held.before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

    def release() -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, held.before)

    def release_in_child() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        release()

    os.register_at_fork(before=hold, after_in_parent=release, after_in_child=release_in_child)
