"""How the words of flags become values: numbers, seeds, folders, ``key=value`` pairs. A wrong word is one line."""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.errors import InputError
from harness.paths import split_folders

# Other names of data types: lm-eval's, and the usual short ones.
DTYPES = {"float": "float32", "half": "float16", "fp32": "float32", "fp16": "float16", "bf16": "bfloat16"}
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


def word(text: str) -> str:
    """A tag, such as ``</think>``."""
    if not text.strip():
        raise argparse.ArgumentTypeError("is empty; give a tag such as </think>, or none")
    return text


def dtype(text: str) -> str:
    """A data type of weights, under its own name or the one that lm-eval or other tools give it."""
    return DTYPES.get(text, text)


def limit(text: str) -> float:
    """A number of items, or a share below 1."""
    value = _number(text)
    if not 0 < value < math.inf or (value > 1 and value != int(value)):
        raise argparse.ArgumentTypeError(f"{text}: give a whole number of items from 1, or a share between 0 and 1")
    return value


def count(text: str) -> int:
    """A whole number from 0."""
    value = _number(text)
    if value < 0 or value != int(value):
        raise argparse.ArgumentTypeError(f"{text}: give a whole number from 0")
    return int(value)


def positive(text: str) -> int:
    """A whole number from 1."""
    value = _number(text)
    if value < 1 or value != int(value):
        raise argparse.ArgumentTypeError(f"{text}: give a whole number of 1 or more")
    return int(value)


def seconds(text: str) -> float:
    """A time above 0."""
    value = _number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text}: give a number of seconds above 0")
    return value


def positive_or_auto(text: str) -> int | str:
    """A whole number from 1, or ``auto``."""
    try:
        return "auto" if text == "auto" else positive(text)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(f"{text}: give a whole number of 1 or more, or auto") from None


def batch_size(text: str) -> int | str:
    """A whole number from 1, ``auto``, or lm-eval's ``auto:N``."""
    auto, colon, times = text.partition(":")
    if auto == "auto" and colon and times.isdecimal() and int(times):
        return text
    return positive_or_auto(text)


def on_ray(text: str) -> str:
    """``ray`` or ``ray:ADDRESS``."""
    name, colon, address = text.partition(":")
    if name != "ray" or bool(colon) != bool(address):
        raise argparse.ArgumentTypeError(f"{text}: give ray, or ray:ADDRESS such as ray:HOST:6379")
    return text


def truth(text: str) -> bool:
    """``true`` or ``false``, as lm-eval reads it."""
    if text.lower() not in ("true", "1", "yes", "false", "0", "no"):
        raise argparse.ArgumentTypeError(f"{text}: give true or false")
    return text.lower() in ("true", "1", "yes")


def level(text: str) -> str:
    """A level of Python's logging, in any case."""
    if text.upper() not in LEVELS:
        raise argparse.ArgumentTypeError(f"{text}: give one of {', '.join(LEVELS)}")
    return text.upper()


def seeds(text: str) -> tuple[int | None, ...]:
    """One number for all four seeds, or up to four: a missing one is lm-eval's default, ``None`` sets none."""
    defaults: list[int | None] = [0, 1234, 1234, 1234]
    parts = [part.strip() for part in text.split(",")]
    try:
        given = [None if part.lower() == "none" else int(part) for part in parts]
    except ValueError:
        given = []
    if not 1 <= len(given) <= 4 or any(seed is not None and not 0 <= seed < 2**32 for seed in given):
        raise argparse.ArgumentTypeError(f"{text}: give a whole number from 0, or random,numpy,torch,fewshot")
    return tuple(given * 4) if len(given) == 1 else tuple(given + defaults[len(given) :])


def folders(text: str) -> list[Path]:
    """One folder, or several with colons between them, as lm-eval's ``--include_path`` takes them."""
    return split_folders(text)


def item_numbers(text: str) -> dict[str, list[int]]:
    """Item numbers by task: a JSON object, or a file with one."""
    inline = text.lstrip().startswith("{")
    try:
        content = text if inline else Path(text).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, RuntimeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise argparse.ArgumentTypeError(
            f"{text}: cannot be read ({reason}); give a file, or JSON such as '{{\"task\": [0, 3]}}'"
        ) from None
    where = "" if inline else f"{text}: "
    try:
        return checked_items(json_object(content))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(f"{where}{error}") from None


def checked_items(value: Mapping[str, Any]) -> dict[str, list[int]]:
    """Return item numbers by task, sorted, each once. Raises: argparse.ArgumentTypeError: they are none."""
    for name, numbers in value.items():
        if not isinstance(numbers, list | tuple) or not numbers or not all(_is_item(number) for number in numbers):
            raise argparse.ArgumentTypeError(f"{name}: give a list of item numbers from 0, such as [0, 3]")
    return {str(name): sorted(set(numbers)) for name, numbers in value.items()}


def _is_item(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def json_object(text: str) -> dict[str, Any]:
    """A JSON object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise argparse.ArgumentTypeError(f"not JSON ({error}); give an object such as '{{\"key\": 1}}'") from None
    if not isinstance(value, dict):
        raise argparse.ArgumentTypeError(f"{text:.60}: give a JSON object")
    return value


def names(flag: str, words: Sequence[str]) -> list[str]:
    """Return the names in words that are separated by spaces or commas. Raises: InputError: there are none."""
    found = [name.strip() for each in words for name in each.split(",") if name.strip()]
    if not found:
        raise InputError(
            f"{flag}: no names; give tasks or groups separated by commas. `harness tasks list` shows them."
        )
    return found


def pairs(flag: str, words: Sequence[str] | Mapping[str, Any]) -> dict[str, Any]:
    """Read ``key=value`` pairs separated by spaces or commas, or JSON objects, as lm-eval does; later words win.

    Args:
        flag: For the message.
        words: Such as ``["temperature=0,until=['a', 'b']", "top_p=0.9"]``; or the pairs themselves.

    Raises:
        InputError: a word is neither.
    """
    if isinstance(words, Mapping):
        return dict(words)
    from lm_eval._cli.utils import key_val_to_dict

    found: dict[str, Any] = {}
    for each in words:
        if each.lstrip().startswith("{"):
            try:
                found |= json_object(each)
            except argparse.ArgumentTypeError as error:
                raise InputError(f"{flag} {each}: {error}.") from None
            continue
        try:
            found |= {key.strip(): value for key, value in key_val_to_dict(each).items()}
        except ValueError:
            raise InputError(
                f"{flag} {each}: not key=value pairs; write for example {flag} temperature=0,top_p=0.9."
            ) from None
    return found


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text}: not a number; give one") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text}: not a finite number")
    return value
