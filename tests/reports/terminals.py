"""Run a command of this process on a pseudo-terminal, and read what a person would see."""

from __future__ import annotations

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
import threading
from collections.abc import Sequence

import pytest

from harness.cli import main
from tests.conftest import ROOT

UNSET = ("NO_COLOR", "FORCE_COLOR", "COLUMNS", "LINES", "TTY_COMPATIBLE")  # what changes rich's output
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
        for name in UNSET:
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


def shown_by_a_process(words: Sequence[object], width: int) -> str:
    """Return the text that a process of its own shows on a terminal of this width, which it has to ask for."""
    here, there = os.openpty()
    fcntl.ioctl(there, termios.TIOCSWINSZ, struct.pack("HHHH", 40, width, 0, 0))
    chunks: list[bytes] = []
    reader = threading.Thread(target=_read, args=(here, chunks))
    reader.start()
    variables = {name: value for name, value in os.environ.items() if name not in UNSET} | {"TERM": "xterm-256color"}
    command = [sys.executable, "-m", "harness", *map(str, words)]
    done = subprocess.run(command, stdin=there, stdout=there, stderr=there, env=variables, cwd=ROOT, check=False)
    os.close(there)
    reader.join()
    os.close(here)
    text = ESCAPE.sub("", b"".join(chunks).decode("utf-8").replace("\r\n", "\n"))
    assert done.returncode == 0, text
    return text


def shown(words: Sequence[object], patch: pytest.MonkeyPatch, width: int) -> str:
    """Return the text that a terminal of this width shows, without colours."""
    return ESCAPE.sub("", printed(words, patch, COLUMNS=str(width)))
