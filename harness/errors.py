"""Errors that a user can fix, each with its exit code::

    raise InputError(f"--limit {limit}: give a count, or a share below 1.")  # value, what is allowed or what to do

The command line prints the message of a `HarnessError` and exits. Any other exception is a bug or a fault of the
machine and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """Base of all errors whose message is enough to fix them: it says the value, what is allowed and what to do."""

    exit_code = 1


class InputError(HarnessError):
    """The user's input is wrong: a flag, a path or the contents of a file. Exit code 2; nothing is written."""

    exit_code = 2


class SpecError(InputError):
    """A field of the stage file is wrong. The message starts with the field; the caller adds the file's name."""


class UnplannedParentError(SpecError):
    """A stage cannot be planned before its parent exists, because the parent's trainer has no plan of its model."""


class CheckpointError(InputError):
    """A checkpoint is missing, incomplete, damaged, or of a kind that is not allowed."""


class TaskError(InputError):
    """A task is unknown, its YAML is wrong, or its data is missing or differs from the pinned digest."""


class RecordError(InputError):
    """A run folder or a results file is missing, truncated or has another layout."""


class EngineError(HarnessError):
    """An engine cannot be started, or died and cannot be restarted. Its answers so far are in the journal."""


# What reading a malformed file may raise: invalid JSON, a value of the wrong type, nesting too deep, a number too long,
# a lone surrogate. Code that reads such a file catches these and raises an error that names the file.
MALFORMED = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError)

LONGEST_REASON = 2000
"""Characters of a reason that are kept."""


def first_line(error: BaseException, *, max_characters: int | None = None) -> str:
    """Return the first line of an error's message that is not blank, or the error's class name if there is none.

    Args:
        error: The error.
        max_characters: Cut the line to this length; None keeps it whole.
    """
    lines = (line.strip() for line in str(error).splitlines())
    return next(filter(None, lines), type(error).__name__)[:max_characters]


def last_line(error: BaseException, *, max_characters: int | None = None) -> str:
    """Return the last line of an error's message that is not blank, or the error's class name."""
    lines = (line.strip() for line in reversed(str(error).splitlines()) if line.strip())
    return next(lines, type(error).__name__)[:max_characters]


def one_line(error: BaseException, *, max_characters: int | None = None) -> str:
    """Return an error's whole message as one line, or the error's class name if the message is blank.

    Args:
        error: The error.
        max_characters: Cut the line to this length; None keeps it whole.
    """
    return (" ".join(str(error).split()) or type(error).__name__)[:max_characters]


def whole_reason(error: BaseException) -> str:
    """Return an error's whole message as one line, for what failed to open: libraries give the reason in any line.

    Only a message of more than 2,000 characters, such as a list of every tensor, is cut, between two words.
    """
    reason = one_line(error)
    if isinstance(error, LookupError):  # its message is only the key
        reason = f"{type(error).__name__}: {reason}"
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON].rpartition(' ')[0]} ..."


def did_you_mean(word: str, known: Iterable[str], *, limit: int = 3) -> str:
    """Return ``" Did you mean a, b?"`` with the known words most similar to `word`, or an empty string."""
    similar = difflib.get_close_matches(word, sorted(set(known)), n=limit, cutoff=0.6)
    return f" Did you mean {', '.join(similar)}?" if similar else ""
