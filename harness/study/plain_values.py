"""Values that a study file may hold: those that JSON can hold, since a node's key is a digest of JSON.

revision: 2024-05-01     a date to YAML         write "2024-05-01"
weights: {1: 2, a: 1}    the key is a number    write {"1": 2, a: 1}
on: 3                    the key is true        write "on": 3
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import InputError

Scalar = (str, int, float, bool, type(None))
LEVELS_DEPTH = 2  # factors.NAME: below it are levels, whose names may be numbers, yes and no


def check_plain(path: Path, value: Any, place: tuple[str, ...] = ()) -> None:
    """Check a file's contents, at any depth.

    Args:
        path: The file, for the message.
        value: Its contents.
        place: Keys that lead to the value.

    Raises:
        InputError: a key is not a text, or a value is a date, a set or binary.
    """
    if isinstance(value, Mapping):
        of_levels = len(place) == LEVELS_DEPTH and place[0] == "factors"
        for key, inner in value.items():
            if not isinstance(key, str) and not (of_levels and isinstance(key, bool | int | float)):
                where = ".".join((*place, str(key)))
                raise InputError(f"{path}: {where}: the key is {_kind(key)}, not a text; quote it.")
            check_plain(path, inner, (*place, str(key)))
    elif isinstance(value, list):
        for inner in value:
            check_plain(path, inner, place)
    elif not isinstance(value, Scalar):
        raise InputError(f"{path}: {'.'.join(place)}: {value} is {_kind(value)} to YAML; quote it to give a text.")


def _kind(value: object) -> str:
    """Return what YAML made of a text, in words."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return f"{value} (YAML reads yes, no, on and off so)"
    return "a number" if isinstance(value, int | float) else f"a {type(value).__name__}"
