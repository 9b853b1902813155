"""The files of a run, to compare runs byte for byte."""

from __future__ import annotations

import re
from pathlib import Path


def without_times(folder: Path, files: str = "*.json*") -> dict[str, str]:
    """Every file of a run, without what differs between runs: times in file names, start, duration, command line."""
    found = {}
    for path in sorted(folder.rglob(files)):
        if path.is_symlink():
            continue
        text = re.sub(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d+", "TIME", path.read_text())
        text = re.sub(r" at 0x[0-9a-f]+>", " at ADDRESS>", text)  # of a function, in lm-eval's copy of the task
        for field in ("date", "total_evaluation_time_seconds", "command", "from_journal", "engine"):
            text = re.sub(rf'"{field}": (null|[\d.]+|"[^"]*"|\{{[^}}]*\}})', f'"{field}": X', text)
        found[re.sub(r"\d{4}-\d\d-\d\dT[\d.-]+\d", "TIME", path.name)] = text.replace(str(folder), "FOLDER")
    return found
