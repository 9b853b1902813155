"""What a command does when its output cannot be written: the reader has ended, or the disk is full.

harness leaderboard runs | head -1     ends quietly, with the status 141 of Unix tools that a closed pipe ends
harness leaderboard runs > /dev/full   one line, and the status 1
"""

from __future__ import annotations

import errno
import os
import select
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

CLOSED_PIPE = 128 + signal.SIGPIPE
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


def until_closed(run: Callable[[], int]) -> int:
    """Return the exit code of `run`, or `CLOSED_PIPE` if the reader of the output ends before it does.

    Python ignores SIGPIPE, so that writing raises an error, and the last buffer is written only when Python ends.
    There, an error would print a message: https://docs.python.org/3/library/signal.html#note-on-sigpipe

    Raises:
        BrokenPipeError: Another pipe was closed, such as that of a worker.
    """
    if sys.stdout is None:  # closed from the start, as by `>&-`
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
    try:
        try:
            return run()
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        closed = [stream for stream in (sys.stdout, sys.stderr) if _has_no_reader(stream)]
        if not closed:
            raise
        for stream in closed:
            _discard(stream)
        return CLOSED_PIPE


def _discard(stream: TextIO) -> None:
    """Let a stream write into nothing, so that Python can write its last buffer when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _has_no_reader(stream: TextIO) -> bool:
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):  # in memory, as in tests
        return False
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def discard_unwritable_output() -> None:
    """Discard what standard output still has to write, if it cannot."""
    try:
        sys.stdout.flush()
    except OSError:
        _discard(sys.stdout)


def fault_of_the_machine(error: OSError) -> str:
    """Return one line about a full disk or a file that may not be used; an empty text for any other error."""
    place = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes | os.PathLike) else ""
    if error.errno in DISK_FULL:
        return (
            f"{place or 'output'}: no space left on the disk or in your quota; free some, then run the command again."
        )
    if place and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{place}: {error.strerror}; give a writable path, or change its permissions."
    return ""
