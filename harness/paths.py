"""Where things lie that no command line names: the cache folder, the data folder, the task definitions."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_dir() -> Path:
    """Return the folder for the journal, fetched data and converted models (`HARNESS_CACHE_DIR`, else the user's)."""
    chosen = os.environ.get("HARNESS_CACHE_DIR")
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "stage-harness"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "stage-harness"


def data_dir() -> Path | None:
    """Return the folder that holds benchmark data as upstream ships it (`HARNESS_DATA`), or None when it is unset."""
    chosen = os.environ.get("HARNESS_DATA")
    return Path(chosen).expanduser() if chosen else None


def tasks_dir() -> Path:
    """Return the folder of task definitions; in a source checkout `_tasks` is a link to ``tasks``."""
    return (Path(__file__).parent / "_tasks").resolve()
