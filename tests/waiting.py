"""Wait for an event instead of for a time: what a test waits for may take long on a busy machine.

wait_until(lambda: path.exists(), "the file is written", process=writer)
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Only a test that has already failed waits this long.
CEILING_SECONDS = 900.0


def wait_until(
    happened: Callable[[], object],
    what: str,
    *,
    process: subprocess.Popen[Any] | None = None,
    interval_seconds: float = 0.02,
) -> None:
    """Return when `happened()` is true; fail after `CEILING_SECONDS`, or as soon as `process` has ended without it."""
    deadline = time.monotonic() + CEILING_SECONDS
    while not happened():
        if process is not None and process.poll() is not None:
            assert happened(), f"not before the process ended with {process.returncode}: {what}"
            return
        assert time.monotonic() < deadline, f"not within {CEILING_SECONDS:.0f} s: {what}"
        time.sleep(interval_seconds)


def running(process: int) -> bool:
    """Whether there is such a process that has not ended; an ended one stays listed until its parent asks after it."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False
