"""`metrics.jsonl`, beside the manifest: what the trainer logged at each step, one JSON line per entry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import MALFORMED

METRICS_NAME = "metrics.jsonl"


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries of the file in order; a line that a kill cut short is left out."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entry = json.loads(line)
            if isinstance(entry["step"], int):
                yield entry
        except MALFORMED:
            continue


def loss_summary(path: Path) -> str:
    """Return ``loss 4.21 at first, 2.31 at last, best 2.28 at step 180``; empty if no loss was logged."""
    losses = [(entry["step"], float(entry["loss"])) for entry in read_metrics(path) if "loss" in entry]
    if not losses:
        return ""
    step, best = min(losses, key=lambda pair: pair[1] if pair[1] == pair[1] else float("inf"))
    return f"loss {losses[0][1]:.4g} at first, {losses[-1][1]:.4g} at last, best {best:.4g} at step {step:,}"
