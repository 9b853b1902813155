"""YAML files that users write by hand, with the line of each value for messages::

design.yaml, line 12: runs[3].tune: 'cod' is no level of tune; give one of plain, code.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from yaml.reader import ReaderError

from harness.errors import MALFORMED, InputError
from harness.plain_yaml import CostlyYAMLError, check_yaml, repeated_key

Key = str | int
Lines = Mapping[tuple[Key, ...], int]

# Part of YAML's own words for a mistake, and what to do about it.
_REMEDIES = {
    "'\\t'": "indent with spaces, not with tabs",
    "could not find expected ':'": "write key: value, with a colon",
    "mapping values are not allowed here": "end the key before it with a colon, indent keys of one mapping "
    "alike, or put a text with ': ' in quotes",
    "expected <block end>": "indent the entries of a list, and the keys of a mapping, alike",
    "expected ',' or": "close the bracket, and put commas between its values",
    "unexpected end of stream": "close the quotes",
    "cannot start any token": "put the text in quotes",
    "undefined alias": "put the text in quotes",
    "expected alphabetic or numeric character": "put the text in quotes",
    "not a valid": "correct it there, or put the text in quotes",
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
        """Return file, line and name; for a missing value, the line of its parent."""
        return self.on_line_of()

    def on_line_of(self, *more: Key) -> str:
        """Return the same with the line of one of its own keys, such as an unknown one."""
        name = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in self.keys).removeprefix(".")
        where = self.line_of(*more)
        return f"{where}: {name}" if name else where

    def line_of(self, *more: Key) -> str:
        """Return file and line of one of its own keys, without a name."""
        keys = (*self.keys, *more)
        line = next((self.lines[keys[:n]] for n in range(len(keys), 0, -1) if keys[:n] in self.lines), None)
        return f"{self.path}" if line is None else f"{self.path}, line {line}"


class _Loader(yaml.SafeLoader):
    """A loader that says where a value stands that cannot be what it looks like, such as the date 2024-13-45."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Return the value. Raises: yaml.constructor.ConstructorError: there is no such value."""
        try:
            return super().construct_object(node, deep)
        except MALFORMED:
            problem = f"{node.value!r:.40} is not a valid {node.tag.rpartition(':')[2]}"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark) from None


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
        check_yaml(text, _Loader)
        content = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
        twice = repeated_key(text, _Loader)
    except (yaml.MarkedYAMLError, ReaderError, CostlyYAMLError) as error:
        raise InputError(f"{path}{_mistake(error, text)}.") from None
    if twice is not None:
        raise InputError(f"{path}: {twice} appears twice in one mapping; keep one.")
    if content is None:
        raise InputError(f"{path}: is empty; give {example}.")
    if not isinstance(content, dict):
        kind = "a list" if isinstance(content, list) else f"{content!r:.40}"
        raise InputError(f"{path}, line 1: is {kind}, not a mapping; give {example}.")
    lines = dict(_lines(yaml.compose(text, Loader=_Loader), (), set()))
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


def _mistake(error: yaml.MarkedYAMLError | ReaderError | CostlyYAMLError, text: str) -> str:
    """Return line, YAML's words and a remedy: ``, line 5: not valid YAML (found a tab); indent with spaces``."""
    if isinstance(error, yaml.MarkedYAMLError):
        begins = error.context_mark if any(word in str(error.context) for word in _BEGINS_BEFORE) else None
        mark = begins or error.problem_mark
        line, words, context = mark and mark.line + 1, str(error.problem or error), str(error.context)
    elif isinstance(error, ReaderError):
        line, context = text.count("\n", 0, error.position) + 1, ""
        words = f"character #x{error.character:04x} is not allowed"
    else:
        line, words, context = error.line, str(error), ""
    words = " ".join(words.split())[:100]
    remedies = (remedy for part, remedy in _REMEDIES.items() if part in f"{context} {words}")
    where = "" if line is None else f", line {line}"
    return f"{where}: not valid YAML ({words}); {next(remedies, 'correct it there')}"


def _lines(node: yaml.Node | None, keys: tuple[Key, ...], seen: set[int]) -> Iterator[tuple[tuple[Key, ...], int]]:
    """Yield the keys and the line of each value; one that aliases repeat has the lines of its first place."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    pairs: list[tuple[Key, yaml.Node, yaml.Node]]
    if isinstance(node, yaml.MappingNode):
        pairs = [(_name(key), key, value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        pairs = [(at, value, value) for at, value in enumerate(node.value)]
    else:
        return
    for name, first, value in pairs:
        yield (*keys, name), first.start_mark.line + 1
        yield from _lines(value, (*keys, name), seen)


def _name(key: yaml.Node) -> str:
    """Return a key as `read_yaml` names it: ``yes`` is True; ``<<`` has no value."""
    is_merge = key.tag == "tag:yaml.org,2002:merge"
    return str(key.value if is_merge else _Loader("").construct_object(key, deep=True))
