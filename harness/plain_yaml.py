"""Refuse YAML that would crash the process or exhaust its memory, before a loader reads it.

[[[[...                                    nested too deep: libyaml recurses until the process crashes
a: &a [x, x]  b: &b [*a, *a]  c: ...       each anchor doubles the size of the one before
a: &a [*a]                                 a value that contains itself: code that walks through it never returns
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import yaml

MOST_NESTED = 100
MOST_VALUES = 1_000_000


class CostlyYAMLError(ValueError):
    """YAML that would crash the process or exhaust its memory.

    Attributes:
        line: The line where that shows, from 1.
    """

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


def check_yaml(text: str, loader: type[yaml.SafeLoader] | type[yaml.CSafeLoader]) -> None:
    """Check the nesting and the references of a YAML text without building its values.

    Args:
        text: The text.
        loader: The loader that will read it.

    Raises:
        yaml.YAMLError: it is not YAML.
        CostlyYAMLError: it is nested too deep, contains itself, or has too many values once its aliases are expanded.
    """
    open_values: list[tuple[str | None, int]] = [(None, 0)]  # (anchor, number of values in it), the outermost first
    sizes: dict[str, int | None] = {}  # by anchor; None while the value is open
    for event in yaml.parse(text, Loader=loader):
        assert event.start_mark is not None, "the parser marks every event"
        line = event.start_mark.line + 1
        if isinstance(event, yaml.CollectionStartEvent):
            open_values.append((event.anchor, 0))
            if event.anchor is not None:
                sizes[event.anchor] = None
            if len(open_values) > MOST_NESTED + 1:
                raise CostlyYAMLError(f"values are nested more than {MOST_NESTED} levels deep", line)
        elif isinstance(event, yaml.CollectionEndEvent):
            _add(open_values, sizes, *open_values.pop(), line)
        elif isinstance(event, yaml.ScalarEvent):
            _add(open_values, sizes, event.anchor, 0, line)
        elif isinstance(event, yaml.AliasEvent):
            size = sizes.get(str(event.anchor), 0)
            if size is None:
                raise CostlyYAMLError(f"alias *{event.anchor} is inside the value that it refers to", line)
            _add(open_values, sizes, None, size, line)


def _add(
    open_values: list[tuple[str | None, int]], sizes: dict[str, int | None], anchor: str | None, size: int, line: int
) -> None:
    """Add a value, and everything inside it, to the count of the enclosing value."""
    if anchor is not None:
        sizes[anchor] = size
    name, total = open_values[-1]
    open_values[-1] = (name, total + size + 1)
    if total + size >= MOST_VALUES:
        raise CostlyYAMLError(f"it holds more than {MOST_VALUES:,} values when its aliases are expanded", line)


class UniqueKeyLoader(yaml.SafeLoader):
    """A loader that refuses a mapping in which a key appears twice; YAML's own keeps the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return the mapping. Raises: yaml.constructor.ConstructorError: a key appears twice."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    line = key.start_mark.line + 1
                    raise yaml.constructor.ConstructorError(
                        None, None, f"line {line}: the key {key.value!r} appears twice in one mapping", None
                    )
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


def repeated_key(text: str, loader: type[yaml.SafeLoader] | type[yaml.CSafeLoader]) -> str | None:
    """Return the first key that a mapping has twice, with its line. Loaders silently keep only the last value.

    Args:
        text: YAML that `check_yaml` accepts.
        loader: The loader that will read it.
    """
    nodes, seen = [yaml.compose(text, Loader=loader)], set()
    while nodes:
        node = nodes.pop()
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            nodes += node.value
        elif isinstance(node, yaml.MappingNode):
            keys: set[str] = set()
            for key, value in node.value:
                nodes.append(value)
                if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                    if key.value in keys:
                        return f"{key.value!r:.40} (line {key.start_mark.line + 1})"
                    keys.add(key.value)
    return None
