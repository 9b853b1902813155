"""Compare two sets of runs: ``python -m tests.unchanged.compare BEFORE AFTER [--prose]``.

Keys, numbers, ids, digests, names and journal keys must be identical. A text at a place that `normalise.yaml` lists as
prose may be reworded: that is listed, and is an error with ``--prose`` only. Exit code 1 when there is an error.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.unchanged.normalise import Normaliser
from tests.unchanged.snapshot import take

Kind = Literal["changed", "missing", "new", "reworded"]
NUMBER = re.compile(r"[-+−]?\d+(?:,\d{3})*(?:\.\d+)?(?:e[-+]?\d+)?")
WORD = re.compile(r"[\w.@/:+-]+")
SHOWN = 200  # characters of a value


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One difference.

    Attributes:
        place: ``FILE:PATH``.
        kind: ``reworded`` is allowed by the list, the others are not.
        before: The old value; None for what is new.
        after: The new value; None for what is missing.
    """

    place: str
    kind: Kind
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        lines = [f"{self.kind}: {self.place}"]
        if isinstance(self.before, str) and isinstance(self.after, str) and "\n" in self.before + self.after:
            old, new = self.before.splitlines(), self.after.splitlines()
            lines += [f"  - {line[:SHOWN]}" for line in old if line not in new]
            lines += [f"  + {line[:SHOWN]}" for line in new if line not in old]
            return "\n".join(lines)
        lines += [f"  - {str(self.before)[:SHOWN]}"] if self.kind != "new" else []
        lines += [f"  + {str(self.after)[:SHOWN]}"] if self.kind != "missing" else []
        return "\n".join(lines)


def differences(before: Any, after: Any, normaliser: Normaliser, place: str = "") -> Iterator[Difference]:
    """Yield every difference of two values at `place`; at the top, of two snapshots by file.

    Values are equal only when their types are: 1, 1.0 and true are three values.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = [(str(key), before.get(key), after.get(key)) for key in sorted({*before, *after})]
        absent = {*before} ^ {*after}
    elif isinstance(before, list) and isinstance(after, list):
        pairs = [(str(i), _at(before, i), _at(after, i)) for i in range(max(len(before), len(after)))]
        absent = {str(i) for i in range(min(len(before), len(after)), len(pairs))}
    else:
        if type(before) is not type(after) or repr(before) != repr(after):
            kind: Kind = "reworded" if _reworded(before, after, normaliser, place) else "changed"
            yield Difference(place=place, kind=kind, before=before, after=after)
        return
    for key, old, new in pairs:
        where = _below(place, key)
        if key in absent:
            gone = key in before if isinstance(before, dict) else len(before) > len(after)
            yield Difference(place=where, kind="missing" if gone else "new", before=old, after=new)
        else:
            yield from differences(old, new, normaliser, where)


def _reworded(before: Any, after: Any, normaliser: Normaliser, place: str) -> bool:
    """Whether only words of a sentence changed: same numbers in the same order, same names in whatever order."""
    if not isinstance(before, str) or not isinstance(after, str) or not normaliser.is_prose(place):
        return False
    if " " not in before.strip() or " " not in after.strip():
        return False
    return NUMBER.findall(before) == NUMBER.findall(after) and _names(before, normaliser) == _names(after, normaliser)


def _names(text: str, normaliser: Normaliser) -> set[str]:
    words = {word.strip(".:,-") for word in WORD.findall(text) if not word.startswith("--")}  # a flag is advice
    return {word for word in words if "_" in word or any(c.isdigit() for c in word) or word in normaliser.names}


def _at(values: list[Any], index: int) -> Any:
    return values[index] if index < len(values) else None


def _below(place: str, key: str) -> str:
    """``FILE:PATH``: the first key is the file, the others are joined by dots."""
    return key if not place else f"{place}:{key}" if ":" not in place else f"{place}.{key}"


def main() -> int:
    """Print every difference; 1 when one is not allowed."""
    parser = argparse.ArgumentParser(prog="python -m tests.unchanged.compare", description=__doc__)
    parser.add_argument("before", type=Path, metavar="BEFORE", help="a folder that tests.unchanged.make wrote")
    parser.add_argument("after", type=Path, metavar="AFTER", help="another")
    parser.add_argument("--prose", action="store_true", help="a reworded text is an error too")
    args = parser.parse_args()
    before, after = take(args.before), take(args.after)
    found = list(differences(before, after, Normaliser.read()))
    for one in found:
        print(one)
    reworded = sum(one.kind == "reworded" for one in found)
    print(f"{len(before)} files and commands compared: {len(found) - reworded} differences, {reworded} reworded texts")
    return int(len(found) > (0 if args.prose else reworded))


if __name__ == "__main__":
    sys.exit(main())
