"""Order of names with numbers in them: checkpoint-5 comes before checkpoint-10."""

from __future__ import annotations

import re


def natural_key(name: str) -> list[tuple[int, str]]:
    """Return a sort key that compares runs of digits as numbers.

    Example: ``step-5`` gives [(-1, "step-"), (5, "5"), (-1, "")], which sorts before that of ``step-10``.
    """
    return [(int(part) if part.isdecimal() else -1, part) for part in re.split(r"(\d+)", name)]
