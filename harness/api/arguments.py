"""Python arguments as the words of a command, read by the command's own parser, so that both mean the same.

    call("eval", {"model": "runs/sft", "tasks": ["arc_easy"], "limit": 20})
    # words: --model=runs/sft --tasks=arc_easy --limit=20

Values, defaults and messages are therefore the command's.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NoReturn

from harness.cli import Parser
from harness.cli.commands import load_command
from harness.errors import InputError, did_you_mean
from harness.redaction import recorded_command

# Arguments whose mapping is written as key=value words; other mappings are JSON.
PAIRS = ("overrides", "executor_args")
# By command: flags that print something else, or choose how to print it; the functions refuse them.
TERMINAL = {
    "eval": frozenset(
        {
            "wide",
            "write_out",
            "show_config",
            "verbosity",
            # lm-eval's flags that change nothing here, for each of which the command prints a note.
            "cache_requests",
            "max_batch_size",
            "check_integrity",
        }
    ),
    "compare": frozenset({"format", "wide"}),
    "leaderboard": frozenset({"format", "wide"}),
    "train": frozenset({"example"}),
    "run": frozenset({"wide"}),
}


@dataclass(frozen=True, kw_only=True)
class Call:
    """A parsed call.

    Attributes:
        args: What the command's `run` would get.
        command_line: The command that does the same, for records and pages.
    """

    args: argparse.Namespace
    command_line: str


class _RaisingParser(Parser):
    def error(self, message: str) -> NoReturn:
        raise InputError(self.with_remedy(message))


@functools.cache
def _parser(command: str) -> Parser:
    parser = _RaisingParser(prog=f"harness {command}", allow_abbrev=False, add_help=False)
    load_command(command).add_arguments(parser)
    return parser


@functools.cache
def actions(command: str) -> dict[str, argparse.Action]:
    """Return the parser's actions by argument name: a flag's longest spelling without dashes, else a positional's."""
    listed = _parser(command)._actions  # noqa: SLF001 - argparse lists its actions nowhere else
    return {_flag(action).removeprefix("--") or action.dest: action for action in listed}


def _flag(action: argparse.Action) -> str:
    return max(action.option_strings, key=len, default="")


def call(command: str, arguments: Mapping[str, object]) -> Call:
    """Parse Python arguments as the command parses its words.

    Args:
        command: Its name, such as ``eval``.
        arguments: By name; what is missing has the command's default.

    Raises:
        InputError: a name is unknown, or a value is wrong.
    """
    known = actions(command)
    unknown = next((name for name in arguments if name not in known), None)
    if unknown is not None:
        raise InputError(f"{unknown}: no such argument of harness {command}.{did_you_mean(unknown, known)}")
    printing = next((name for name in arguments if name in TERMINAL.get(command, ())), None)
    if printing is not None:
        raise InputError(f"{printing}: is for the command only; run `harness {command}` for it, or leave it out.")
    flags: list[str] = []
    positionals: list[str] = []
    for name, value in arguments.items():
        (flags if known[name].option_strings else positionals).extend(_words(name, known[name], value))
    words = [*flags, *(["--", *positionals] if positionals else [])]
    _check_text(words)
    return Call(args=_parser(command).parse_args(words), command_line=recorded_command(["harness", command, *words]))


def _words(name: str, action: argparse.Action, value: object) -> list[str]:
    """Return the words of one argument: none for the command's default."""
    flag = _flag(action)
    if action.nargs == 0:
        if not isinstance(value, bool):
            raise InputError(f"--{name} {value!r}: give True or False.")
        return [flag] if value else []
    if value is None or value is action.default or (value is False and action.nargs == "*"):
        return []
    if value is True and action.nargs in ("?", "*"):
        return [flag]
    texts = _texts(name, value)
    if not flag:
        return texts
    if isinstance(action, argparse._AppendAction):  # noqa: SLF001 - its class has no public name
        return [f"{flag}={text}" for text in texts]
    if action.nargs in ("+", "*") and len(texts) != 1:
        return [flag, *texts] if texts else []
    return [f"{flag}={','.join(texts)}"]


def _texts(name: str, value: object) -> list[str]:
    """Return a value as words, one per element of a sequence."""
    if isinstance(value, Mapping):
        if name in PAIRS:
            return [f"{key}={one if isinstance(one, str) else json.dumps(one)}" for key, one in value.items()]
        return [json.dumps(dict(value), default=str, ensure_ascii=False)]
    if isinstance(value, str | os.PathLike):
        return [os.fsdecode(value)]
    if isinstance(value, bool):
        return [str(value).lower()]
    if isinstance(value, Sequence | set | frozenset):
        return [text for one in value for text in _texts(name, one)]
    return [str(value)]


def _check_text(words: Sequence[str]) -> None:
    """Refuse words that are not UTF-8: the command line is written into records, which are."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise InputError(f"{word!a}: is not UTF-8; give a path or a name that is.") from None
