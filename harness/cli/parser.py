"""argparse with one-line errors, which name the command and, for an unknown flag, the nearest known one."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from harness.errors import InputError, did_you_mean
from harness.redaction import without_url_secrets
from harness.visible import visible

_NUMBER = re.compile(r"-\d+|-\d*\.\d+")  # what argparse takes for a negative number
_REQUIRED = "the following arguments are required: "
# What `parse_known_args` takes and returns differs with the type of its namespace; argparse's own stubs overload it.
Known = Any


class _Help(argparse.HelpFormatter):
    """argparse's help, but without the ``key=value`` words that argparse gives to the flag before them."""

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        if action.option_strings and isinstance(action.metavar, tuple):
            return action.metavar[0]
        if action.option_strings and action.nargs == "*" and action.metavar == "key=value":
            return ""
        return super()._format_args(action, default_metavar)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        return super()._format_action_invocation(action).rstrip()


class Parser(argparse.ArgumentParser):
    """A command's parser.

    Attributes:
        nearby: Flags that it does not have, but that its words may mean, for the hint at an unknown flag.
    """

    nearby: Sequence[str] = ()

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"formatter_class": _Help, **options})

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with 2."""
        line = visible(without_url_secrets(self.with_remedy(message)), one_line=True)
        self.exit(2, f"{self.prog}: {line} (see {self.prog} --help)\n")

    def with_remedy(self, message: str) -> str:
        """Say what to give where argparse only lists what is missing; return another message as it is."""
        missing = message.removeprefix(_REQUIRED)
        if missing == message:
            return message
        names = missing.split(", ")
        wanted = [self._wanted(action) for action in self._actions if argparse._get_action_name(action) in names]  # noqa: SLF001
        return f"{missing}: missing; give {' and '.join(wanted)}"

    def _wanted(self, action: argparse.Action) -> str:
        """Return a flag or word with its choices, otherwise its help: ``--tasks (tasks, groups, ...)``."""
        name = max(action.option_strings, key=len, default=argparse._get_action_name(action))  # noqa: SLF001
        return f"{name} ({self._allowed(action)})"

    def _allowed(self, action: argparse.Action) -> str:
        """Return the choices of a flag or word, otherwise its help."""
        return ", ".join(map(str, action.choices or ())) or self._get_formatter()._expand_help(action)  # noqa: SLF001

    def _print_message(self, message: str, file: Any = None) -> None:
        """Write a message as argparse does, but raise the error if it cannot be written."""
        (file or sys.stderr).write(message)

    def parse_known_args(self, args: Known = None, namespace: Known = None) -> Known:
        """Parse as argparse does, but refuse an unknown flag before anything else, and left-over words by name."""
        if args is None or self._subparsers is not None:
            return super().parse_known_args(args, namespace)
        self._check_flags(args)
        parsed, rest = super().parse_known_args(args, namespace)
        if rest:
            self.error(f"{' '.join(rest)}: not expected here; leave it out")
        return parsed, rest

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        """Say what is allowed in place of a wrong number."""
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            wanted = {int: "a whole number", float: "a number"}.get(action.type)  # type: ignore[call-overload]
            raise argparse.ArgumentError(action, f"{arg_string}: give {wanted}") if wanted else error from None

    def _match_argument(self, action: argparse.Action, arg_strings_pattern: str) -> int:
        """Say which value to give to a flag that has none."""
        try:
            return super()._match_argument(action, arg_strings_pattern)
        except argparse.ArgumentError as error:
            raise argparse.ArgumentError(action, f"{error.message}; give it a value: {self._allowed(action)}") from None

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Name the nearest choice for a wrong one."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError as error:
            hint = did_you_mean(str(value), map(str, action.choices or ()), limit=1)
            raise argparse.ArgumentError(action, f"{error.message}{hint and '.'}{hint}") from None

    def _check_flags(self, words: Sequence[str]) -> None:
        for word in words:
            if word == "--":
                return
            flag = word.partition("=")[0]
            if not word.startswith("-") or word == "-" or " " in word or _NUMBER.fullmatch(word):
                continue  # a value
            if flag in self._option_string_actions or (flag[1] != "-" and flag[:2] in self._option_string_actions):
                continue
            known = [name for name in (*self._option_string_actions, *self.nearby) if name.startswith("--")]
            hint = did_you_mean(flag, known, limit=1)
            self.error(f"{flag}: unknown flag.{hint}")


class RaisingParser(Parser):
    """A parser for words that are not on the command line.

    Args:
        help_at: The command that shows the flags, for the message.
        options: As for `ArgumentParser`; `prog` says where the words are.
    """

    def __init__(self, *, help_at: str, **options: Any) -> None:
        super().__init__(**options)
        self._help_at = help_at

    def error(self, message: str) -> NoReturn:
        """Raise the message. Raises: InputError: always."""
        raise InputError(f"{self.prog}: {self.with_remedy(message)}; see `{self._help_at}`.")
