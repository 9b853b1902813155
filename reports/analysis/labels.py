"""Short labels for drawings: long names lose what they share, then their middle, and stay distinct."""

from __future__ import annotations

from collections.abc import Collection, Sequence

LONGEST = 22


def short_labels(names: Collection[str], longest: int = LONGEST) -> dict[str, str]:
    """Return a label of about `longest` characters for each name; no two are equal.

    Folders that all names begin with are left out. Then a name that is too long loses its middle, and less of it if
    another name has the same label::

        training/checkpoint-5, training/checkpoint-10     ->  checkpoint-5, checkpoint-10
        a/training/checkpoint-10, b/training/checkpoint-5 ->  a/…/checkpoint-10, b/…/checkpoint-5
    """
    distinct = list(dict.fromkeys(names))
    shared = _shared_folders(distinct)
    labels = {name: _shortened("/".join(name.split("/")[shared:]), longest) for name in distinct}
    for more in range(1, max(map(len, distinct), default=0)):
        twice = [name for name, label in labels.items() if list(labels.values()).count(label) > 1]
        if not twice:
            break
        labels |= {name: _shortened(name, longest + more) for name in twice}
    return labels


def _shared_folders(names: Sequence[str]) -> int:
    """Return how many leading folders all names share; 0 for a single name."""
    parts = [name.split("/")[:-1] for name in names]
    if len(parts) < 2:
        return 0
    shared = 0
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        shared += 1
    return shared


def _shortened(name: str, longest: int) -> str:
    if len(name) <= longest:
        return name
    parts = name.split("/")
    ends = f"{parts[0]}/…/{parts[-1]}"
    if len(parts) > 2 and len(ends) <= longest:
        return ends
    end = longest // 2
    return f"{name[: longest - end - 1]}…{name[-end:]}"
