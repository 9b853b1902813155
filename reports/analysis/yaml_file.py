"""YAML files that users write by hand, with the line of each value for messages::

design.yaml, line 12: runs[3].tune: 'cod' is no level of tune; give one of plain, code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from harness.errors import InputError, one_line
from harness.plain_yaml import check_yaml, repeated_key

Key = str | int
Lines = Mapping[tuple[Key, ...], int]

# Part of YAML's own words for a mistake, and what to do about it.
_REMEDIES = {
    "'\\t'": "indent with spaces, not with tabs",
    "could not find expected ':'": "write key: value, with a colon",
    "mapping values are not allowed here": "end the key before it with a colon, and indent keys of one mapping alike",
    "expected <block end>": "indent the entries of a list, and the keys of a mapping, alike",
    "expected ',' or": "close the bracket, and put commas between its values",
    "unexpected end of stream": "close the quotes",
    "cannot start any token": "put the text in quotes",
    "undefined alias": "put the text in quotes",
    "constructor for the tag": "leave the tag out; only text, numbers, lists and mappings are read",
    "another document": "keep one document, without ---",
}
# YAML sees these mistakes only after the line in which they begin.
_BEGINS_BEFORE = ("simple key", "quoted scalar", "flow sequence", "flow mapping")


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """A value in a file; as text, what a message about it begins with: file, line and name.

    Attributes:
        path: The file.
        lines: By keys from the top, the line of each value, from 1.
        keys: Of this value.
    """

    path: Path
    lines: Lines
    keys: tuple[Key, ...] = ()

    def __truediv__(self, key: Key) -> Place:
        """Return a value of this mapping or list: ``place / "runs" / 3``."""
        return replace(self, keys=(*self.keys, key))

    def __str__(self) -> str:
        """Return file, line and name; of a value that is missing, the line of what should have it."""
        return self.on_line_of()

    def on_line_of(self, *more: Key) -> str:
        """Return the same with the line of one of its own keys, such as an unknown one."""
        keys = (*self.keys, *more)
        line = next((self.lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self.lines), None)
        name = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys).removeprefix(".")
        where = f"{self.path}" if line is None else f"{self.path}, line {line}"
        return f"{where}: {name}" if name else where


def read_yaml(path: Path, example: str) -> tuple[Place, dict[str, Any]]:
    """Return the mapping in a YAML file, and its place.

    Args:
        path: The file.
        example: What the file should be, for messages.

    Raises:
        InputError: The file is missing, empty, not YAML, or not a mapping.
    """
    text = _text_of(path, example)
    try:
        check_yaml(text, yaml.SafeLoader)
        content = yaml.safe_load(text)
        twice = repeated_key(text, yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        raise InputError(f"{path}{_mistake(error)}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid YAML ({one_line(error, max_characters=200)}); give {example}.") from None
    if twice is not None:
        raise InputError(f"{path}: {twice} appears twice in one mapping; keep one.")
    if content is None:
        raise InputError(f"{path}: is empty; give {example}.")
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else f"{content!r:.40}"
        raise InputError(f"{path}, line 1: is {kind}, not a mapping; give {example}.")
    lines = dict(_lines(yaml.compose(text, Loader=yaml.SafeLoader), (), set()))
    return Place(path=path, lines=lines), {str(key): value for key, value in content.items()}


def _text_of(path: Path, example: str) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise InputError(f"{path}: is not text in UTF-8; give {example}.") from None
    except OSError as error:
        what = "is a folder" if path.is_dir() else f"cannot be read ({error.strerror})"
        raise InputError(f"{path}: {what}; give {example}.") from None
    if "\0" in text:
        raise InputError(f"{path}: is not text, but a binary file; give {example}.")
    return text


def _mistake(error: yaml.MarkedYAMLError) -> str:
    """Return line, YAML's words and a remedy: ``, line 5: not valid YAML (found a tab); indent with spaces``."""
    begins = error.context_mark if any(word in str(error.context) for word in _BEGINS_BEFORE) else None
    mark = begins or error.problem_mark
    line = f", line {mark.line + 1}" if mark is not None else ""
    words = " ".join(str(error.problem or error).split())[:100]
    remedies = (remedy for part, remedy in _REMEDIES.items() if part in f"{error.context} {words}")
    return f"{line}: not valid YAML ({words}); {next(remedies, 'correct it there')}"


def _lines(node: yaml.Node | None, keys: tuple[Key, ...], seen: set[int]) -> Iterator[tuple[tuple[Key, ...], int]]:
    """Yield the keys and the line of each value; one that aliases repeat has the lines of its first place."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    pairs: list[tuple[Key, yaml.Node, yaml.Node]]
    if isinstance(node, yaml.MappingNode):
        pairs = [(str(key.value), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(at, value, value) for at, value in enumerate(node.value)]
    else:
        return
    for name, first, value in pairs:
        yield (*keys, name), first.start_mark.line + 1
        yield from _lines(value, (*keys, name), seen)
