"""The errors a user can mend, each with its exit code.

Whatever is not a `HarnessError` is a defect or an accident of the machine: it is never caught here and keeps its
traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """Base of every error whose message alone lets the user mend it: the value, what is allowed, what to do."""

    exit_code = 1


class InputError(HarnessError):
    """The user's input is wrong: a flag, a path, a file's contents. Exit code 2, nothing written."""

    exit_code = 2


class CheckpointError(InputError):
    """A checkpoint is missing, incomplete, damaged or of a kind that is not allowed."""


class TaskError(InputError):
    """A task is unknown, its YAML is wrong, or its data is missing or not what was pinned."""


class RecordError(InputError):
    """A run folder or a results file is missing, truncated or of another layout."""


class EngineError(HarnessError):
    """An engine could not be opened, or died and could not be brought back. What was answered is journalled."""


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its name when it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def last_line(error: BaseException) -> str:
    """Return the last line of an error's message that is not blank, or the error's class name."""
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)


def did_you_mean(word: str, known: Iterable[str], *, limit: int = 3) -> str:
    """Return ``" Did you mean a, b?"`` for the known words nearest to `word`, or an empty string."""
    near = difflib.get_close_matches(word, sorted(set(known)), n=limit, cutoff=0.6)
    return f" Did you mean {', '.join(near)}?" if near else ""
