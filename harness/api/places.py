"""Which run folders the arguments of `harness.load`, `compare` and `leaderboard` mean."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from harness.api.evaluation_results import EvaluationResults
from harness.errors import InputError


def run_places(function: str, places: Iterable[object]) -> list[str]:
    """Return folders and names as texts; results of an evaluation become the folder of each of their models.

    Args:
        function: Such as ``compare``, for the message.
        places: The function's arguments.

    Raises:
        InputError: one names no run.
    """
    return [text for place in places for text in _texts(function, place)]


def _texts(function: str, place: object) -> Iterator[str]:
    if isinstance(place, EvaluationResults) and place.files:
        yield from (str(file.parent) for file in place.files)
    elif isinstance(place, str | os.PathLike):
        yield os.fsdecode(place)
    else:
        remedy = f" Write harness.{function}(*folders)." if isinstance(place, Iterable) else ""
        raise InputError(f"{function}: {place!r:.80}: is no run folder; give each folder as an argument.{remedy}")
