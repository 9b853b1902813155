"""Apply the committed list `normalise.yaml`: volatile values, moved modules, and the places of prose."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from fnmatch import translate
from pathlib import Path
from typing import Any

import yaml

LIST = Path(__file__).with_name("normalise.yaml")
Rules = tuple[tuple[re.Pattern[str], str], ...]


@dataclass(frozen=True, kw_only=True)
class Normaliser:
    """The list, ready to be applied to values at their places, such as ``files/a.json:notes.0``.

    Attributes:
        volatile: Patterns of places whose value differs from run to run.
        sources: Patterns of places that hold the source of a function, of which only the name is compared.
        texts: What is replaced in strings everywhere.
        printed: What is replaced in the output of commands only.
        modules: Old names of modules and their new ones.
        prose: Patterns of places whose texts may be reworded.
        names: Words that a reworded text keeps, besides all with a digit or an underscore.
    """

    volatile: re.Pattern[str]
    sources: re.Pattern[str]
    texts: Rules
    printed: Rules
    modules: Rules
    prose: re.Pattern[str]
    names: frozenset[str]

    @classmethod
    def read(cls, path: Path = LIST, *, root: str = "") -> Normaliser:
        """Read the list; `root` is the checkout that made the runs."""
        listed = yaml.safe_load(path.read_text(encoding="utf-8"))
        paths = {sys.prefix: "<python>"} | ({root: "<root>"} if root else {})
        places = tuple((re.compile(re.escape(old)), new) for old, new in paths.items())
        return cls(
            volatile=_places(listed["volatile"]),
            sources=_places(listed["sources"]),
            texts=places + _rules(listed["texts"]),
            printed=_rules(listed["printed"]),
            modules=_rules({rf"(?<![\w./]){re.escape(old)}(?!\w)": new for old, new in listed["modules"].items()}),
            prose=_places(listed["prose"]),
            names=frozenset(listed["names"]),
        )

    def apply(self, file: str, value: Any, path: str = "") -> Any:
        """Return `value` with what is volatile replaced and modules under their new names."""
        if self.volatile.match(f"{file}:{path}"):
            return "<volatile>"
        if isinstance(value, str) and value.startswith("def ") and self.sources.match(f"{file}:{path}"):
            return value.partition("(")[0]
        if isinstance(value, dict):
            named = {self._string(file, str(key)): (str(key), inner) for key, inner in value.items()}
            return {key: self.apply(file, inner, _below(path, old)) for key, (old, inner) in named.items()}
        if isinstance(value, list):
            return [self.apply(file, inner, _below(path, str(index))) for index, inner in enumerate(value)]
        return self._string(file, value) if isinstance(value, str) else value

    def is_prose(self, place: str) -> bool:
        """Whether a text at this place may be reworded."""
        return self.prose.match(place) is not None

    def _string(self, file: str, text: str) -> str:
        printed = self.printed if file.startswith(("commands/", "files/reports/")) else ()
        for pattern, new in (*self.texts, *self.modules, *printed):
            text = pattern.sub(new, text)
        return text


def _rules(listed: dict[str, str]) -> Rules:
    return tuple((re.compile(pattern, re.MULTILINE), new) for pattern, new in listed.items())


def _places(patterns: list[str]) -> re.Pattern[str]:
    return re.compile("|".join(translate(pattern) for pattern in patterns))


def _below(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
