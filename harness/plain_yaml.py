"""Refuse YAML that would take the process with it, before a loader sees it.

[[[[...                                    nested without end: libyaml follows it until the process dies
a: &a [x, x]  b: &b [*a, *a]  c: ...       each line doubles what the line before holds
a: &a [*a]                                 a value that holds itself: whoever walks through it never returns
"""

from __future__ import annotations

import yaml

MOST_NESTED = 100
MOST_VALUES = 1_000_000


def check_yaml(text: str, loader: type[yaml.SafeLoader] | type[yaml.CSafeLoader]) -> None:
    """Check the nesting and the references of a YAML text without building its values.

    Args:
        text: The text.
        loader: What will load it.

    Raises:
        yaml.YAMLError: it is not YAML.
        ValueError: it is nested too deep, holds itself, or is too large when written out.
    """
    open_values: list[tuple[str | None, int]] = [(None, 0)]  # (anchor, number of values in it), the outermost first
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            open_values.append((event.anchor, 0))
            if len(open_values) > MOST_NESTED:
                raise ValueError(f"values are nested more than {MOST_NESTED} deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            _add(open_values, sizes, *open_values.pop())
        elif isinstance(event, yaml.ScalarEvent):
            _add(open_values, sizes, event.anchor, 0)
        elif isinstance(event, yaml.AliasEvent):
            if any(anchor == event.anchor for anchor, _ in open_values):
                raise ValueError(f"*{event.anchor} refers to the value it stands in")
            _add(open_values, sizes, None, sizes.get(str(event.anchor), 0))


def _add(open_values: list[tuple[str | None, int]], sizes: dict[str, int], anchor: str | None, size: int) -> None:
    """Count a value, and what is in it, to the one it stands in."""
    if anchor is not None:
        sizes[anchor] = size
    name, total = open_values[-1]
    open_values[-1] = (name, total + size + 1)
    if total + size >= MOST_VALUES:
        raise ValueError(f"its references write out to more than {MOST_VALUES:,} values")
