"""Writes the progress of an evaluation to a file, so that other processes can follow it.

{"answered": 1200, "total": 5000, "requests_per_second": 41.7, "seconds_left": 91.2}
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from harness.errors import MALFORMED

WRITE_SECONDS = 1.0


class ProgressFile:
    """Writes how many requests are answered, at most once a second; a `Progress`.

    All models of an evaluation get the same requests, so the time left covers all models.
    """

    def __init__(self, path: Path, *, models: int) -> None:
        """`models` is the number of models that will be evaluated one after the other."""
        self._path, self._models_left = path, models
        self._total = self._answered = self._new = 0
        self._began: float | None = None  # starts with the first answers, after the engine has opened
        self._written = -WRITE_SECONDS

    def start(self, *, total: int, known: int) -> None:
        """Start the next model."""
        self._models_left -= 1
        self._total, self._answered, self._new, self._began = total, known, 0, None
        self._write(None)

    def advance(self, count: int) -> None:
        """Count `count` more requests as answered or failed."""
        now = time.monotonic()
        self._answered += count
        if self._began is None:
            self._began = now
        else:
            self._new += count
        if now - self._written >= WRITE_SECONDS and now > self._began and self._new:
            self._written = now
            self._write(self._new / (now - self._began))

    def _write(self, speed: float | None) -> None:
        left = self._total - self._answered + max(0, self._models_left) * self._total
        content = {
            "answered": self._answered, "total": self._total, "requests_per_second": speed,
            "seconds_left": None if speed is None else left / speed,
        }  # fmt: skip
        part = self._path.with_name(f".{self._path.name}.part")
        part.write_text(json.dumps(content), encoding="utf-8")
        part.replace(self._path)


def read_progress(path: Path) -> dict[str, Any]:
    """Return the contents of the file; empty if it is missing or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, *MALFORMED):
        return {}
    return content if isinstance(content, dict) else {}
