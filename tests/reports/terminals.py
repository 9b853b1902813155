"""Run a command of this process on a pseudo-terminal, and read what a person would see."""

from __future__ import annotations

import os
import re
import sys
import threading
from collections.abc import Sequence

import pytest

from harness.cli import main

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


def printed(words: Sequence[object], patch: pytest.MonkeyPatch, **variables: str) -> str:
    """Return what a command prints on a terminal, with its escapes; its exit code must be 0 or 1.

    Args:
        words: Those after ``harness``.
        patch: Of the test.
        variables: Of the environment, such as ``COLUMNS="80"``.
    """
    here, there = os.openpty()
    chunks: list[bytes] = []
    reader = threading.Thread(target=_read, args=(here, chunks))
    reader.start()
    with patch.context() as local, open(there, "w", encoding="utf-8", buffering=1) as terminal:  # noqa: PTH123
        for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE"):
            local.delenv(name, raising=False)
        for name, value in ({"TERM": "xterm-256color"} | variables).items():
            local.setenv(name, value)
        local.setattr(sys, "stdout", terminal)
        code = main([str(word) for word in words])
        terminal.flush()
    reader.join()
    os.close(here)
    text = b"".join(chunks).decode("utf-8").replace("\r\n", "\n")
    assert code in (0, 1), text
    return text


def _read(descriptor: int, chunks: list[bytes]) -> None:
    while True:
        try:
            chunk = os.read(descriptor, 65536)
        except OSError:  # the other end is closed
            return
        if not chunk:
            return
        chunks.append(chunk)


def shown(words: Sequence[object], patch: pytest.MonkeyPatch, width: int) -> str:
    """Return the text that a terminal of this width shows, without colours."""
    return ESCAPE.sub("", printed(words, patch, COLUMNS=str(width)))
