"""The files of a finished study without times, to compare two runs byte for byte."""

from __future__ import annotations

import json
import re
from pathlib import Path

SETTINGS = re.compile(r'<section id="settings">.*?</section>', re.DOTALL)
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d[-:]\d\d[-:]\d\d(\.\d+)?(\+00:00)?")
CLOCK = re.compile(
    r'"(date|total_evaluation_time_seconds|seconds|from_journal|finished|pid|since)": ("[^"]*"|[\d.]+|null)'
)
LEFT_OUT = ("lock", "log", "progress", "progress.json", "training_args.bin", "executor")
JOURNAL = "journal.sqlite"  # with its -wal and -shm: its pages are in the order of the batches


def contents(out: Path) -> dict[str, str | bytes]:
    """Return every file by path; without logs, locks, progress and the executor's own files."""
    files: dict[str, str | bytes] = {}
    for path in sorted(out.rglob("*")):
        left_out = path.name.startswith(JOURNAL) or any(part in LEFT_OUT for part in path.relative_to(out).parts)
        if path.is_dir() or left_out:
            continue
        name = TIME.sub("TIME", str(path.relative_to(out)))
        if path.suffix == ".safetensors":
            files[name] = path.read_bytes()
            continue
        text = path.read_text()
        # These depend on which evaluations shared the process, and on whether the journal had all answers.
        if path.suffix == ".json" and path.name.startswith("run"):
            text = json.dumps(json.loads(text) | {"command": "X", "engine": "X"}, indent=2)
        if path.suffix == ".html":
            text = SETTINGS.sub("SETTINGS", text)
        text = CLOCK.sub(r'"\1": X', TIME.sub("TIME", text).replace(str(out), "OUT"))
        files[name] = re.sub(r" at 0x[0-9a-f]+>", " at ADDRESS>", text)
    return files
