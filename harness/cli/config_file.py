"""``--config FILE`` of every command: YAML whose keys are the command's flags. Flags on the command line win.

    model: hf                       harness eval --config FILE --limit 40
    model_args: {pretrained: org/name, dtype: float32}
    tasks: [hellaswag, arc_easy]
    num_fewshot: 5

lm-eval's own files have the same form. A value is read like the words of its flag, so it is checked in the same way.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.cli.flag_values import truth
from harness.cli.parser import RaisingParser
from harness.errors import InputError, did_you_mean, one_line

FLAGS = ("--config", "-C")
HELP = "YAML file with flags of this command; flags on the command line win"


def declare(parser: argparse.ArgumentParser) -> None:
    """Add the flag to a command, unless it is one of another package that has its own ``--config`` or ``-C``."""
    if not any(flag in parser._option_string_actions for flag in FLAGS):  # noqa: SLF001 - argparse offers no other way to its flags
        parser.add_argument(*FLAGS, type=Path, metavar="FILE", help=HELP)


def is_declared(parser: argparse.ArgumentParser) -> bool:
    """Return whether the command's ``--config`` is this one."""
    return any(action.help is HELP for action in parser._actions)  # noqa: SLF001


def config_path(words: Sequence[str]) -> Path | None:
    """Return the file that ``--config`` names in a command line; None if there is none.

    Raises:
        InputError: there are two.
    """
    finder = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    finder.add_argument(*FLAGS, type=Path, action="append", default=[])
    try:
        found: list[Path] = finder.parse_known_args(list(words))[0].config
    except argparse.ArgumentError:  # without a file: the command's own parser says so
        return None
    if len(found) > 1:
        raise InputError(f"--config {found[1]}: a second file, after {found[0]}; write all flags into one.")
    return found[0] if found else None


def keys_in(path: Path) -> set[str]:
    """Return the keys of a file. Raises: InputError: it cannot be read."""
    return set(_read(path))


def apply(parser: argparse.ArgumentParser, path: Path, words: Sequence[str]) -> None:
    """Make the values of a file the defaults of a command.

    Args:
        parser: The parser of the command, or of its sub-command.
        path: The file.
        words: The command line; what it gives is not taken from the file.

    Raises:
        InputError: a key is unknown, or a value is wrong.
    """
    actions = {_name(action): action for action in parser._actions if action.dest not in ("help", "config")}  # noqa: SLF001 - argparse offers no other way to its flags
    given = {
        flag for word in words for flag in (word.partition("=")[0], word[:2] if word[1:2] != "-" else "")
    }  # -tNAME
    for key, value in _read(path).items():
        action = actions.get(key.replace("-", "_"))
        if action is None:
            raise InputError(
                f"{path}: {key}: not a flag of {parser.prog}; see `{parser.prog} --help`.{did_you_mean(key, actions)}"
            )
        if not given & set(action.option_strings) and value is not None:
            _set_default(parser, action, value, path)


def _name(action: argparse.Action) -> str:
    return max(action.option_strings, key=len).lstrip("-") if action.option_strings else action.dest


def _set_default(parser: argparse.ArgumentParser, action: argparse.Action, value: Any, path: Path) -> None:
    """Parse a value as the words of its flag, by a parser that has no other flag."""
    words = _words(action, value, path)
    if words is None:
        return
    alone = RaisingParser(prog=str(path), add_help=False, allow_abbrev=False, help_at=f"{parser.prog} --help")
    alone._add_action(action)  # noqa: SLF001 - the same action, so that it is checked in the same way
    parser.set_defaults(**vars(alone.parse_args(words)))
    action.required = False


def _words(action: argparse.Action, value: Any, path: Path) -> list[str] | None:
    """Return the words that a value stands for: ``[a, b]`` -> ``["--tasks", "a", "b"]``; None if it means no flag."""
    flag = action.option_strings[:1]
    if action.nargs == 0 and not isinstance(value, bool):
        raise InputError(f"{path}: {_name(action)}: {value}: give true or false.")
    if value is False and action.type is not truth:
        return None
    if isinstance(value, bool):
        return [*flag, *([] if action.nargs in (0, "?", "*") and value else [str(value).lower()])]
    if isinstance(value, Mapping):
        return [*flag, _json(value, action, path)] if value else None
    if not isinstance(value, list):
        is_negative = bool(flag) and str(value).startswith("-")
        return [f"{flag[0]}={value}"] if is_negative else [*flag, str(value)]
    texts = [_json(one, action, path) if isinstance(one, Mapping | list) else str(one) for one in value]
    if action.nargs in ("+", "*"):
        return [*flag, *texts]
    if isinstance(action, argparse._AppendAction):  # noqa: SLF001 - a flag that is repeated
        return [word for text in texts for word in (*flag, text)]
    return [*flag, ",".join(texts)]


def _json(value: Any, action: argparse.Action, path: Path) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        raise InputError(f"{path}: {_name(action)}: holds a date or a set; quote it to give a text.") from None


def _read(path: Path) -> dict[str, Any]:
    import yaml

    from harness.plain_yaml import UniqueKeyLoader, check_yaml

    try:
        text = path.expanduser().read_text(encoding="utf-8")
        check_yaml(text, yaml.SafeLoader)
        value = yaml.load(text, Loader=UniqueKeyLoader)  # noqa: S506 - a SafeLoader
    except (OSError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise InputError(f"--config {path}: cannot be read ({reason}); give a YAML file.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(
            f"--config {path}: not valid YAML ({one_line(error, max_characters=200)}); correct it."
        ) from None
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise InputError(f"--config {path}: is no mapping from flags to values; write for example `limit: 40`.")
    return value
