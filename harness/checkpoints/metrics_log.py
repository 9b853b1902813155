"""`metrics.jsonl`, beside the manifest: what the trainer logged at each step, one JSON line per entry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.checkpoints.stage_manifest import StageManifest
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
    rewards = [float(entry["reward"]) for entry in read_metrics(path) if "reward" in entry]
    if rewards:  # the loss of GRPO is about 0 at every step
        return f"reward {rewards[0]:.4g} at first, {rewards[-1]:.4g} at last, best {max(rewards):.4g}"
    step, best = min(losses, key=lambda pair: pair[1] if pair[1] == pair[1] else float("inf"))
    return f"loss {losses[0][1]:.4g} at first, {losses[-1][1]:.4g} at last, best {best:.4g} at step {step:,}"


def held_out_summary(manifest: StageManifest) -> list[str]:
    """Return a line per held-out source: its loss at first and at last, and which step's weights were kept."""
    evaluation = manifest.evaluation
    if evaluation is None or not evaluation.get("curve"):
        return []
    first, last = evaluation["curve"][0], evaluation["curve"][-1]
    lines = [
        f"held out, {name}: loss {first['sources'][name]['loss']:.4g} at first, "
        f"{measured['loss']:.4g} at last{_bits(measured)}"
        for name, measured in last["sources"].items()
    ]
    kept, best = evaluation.get("kept_step"), (manifest.spec.get("evaluate") or {}).get("keep") == "best"
    return [*lines, f"kept the weights of step {kept:,}, the best"] if best and kept is not None else lines


def _bits(measured: dict[str, float]) -> str:
    return f" ({measured['bits_per_byte']:.4g} bits per byte)" if "bits_per_byte" in measured else ""
