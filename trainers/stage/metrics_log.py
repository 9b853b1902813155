"""The training log: `metrics.jsonl` beside the manifest, and a line for each entry if there is no progress bar.

{"step": 20, "tokens": 10240, "loss": 2.31, "learning_rate": 0.0001, "grad_norm": 0.52, "tokens_per_second": 1830.0}
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from harness.checkpoints.metrics_log import read_metrics
from harness.console import note

# Entries of the library's log that say nothing about learning.
_LEFT_OUT = (
    "epoch", "total_flos", "train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss",
    "eval_tokens",
)  # fmt: skip
_PRINTED = ("loss", "grad_norm", "learning_rate", "reward", "tokens_per_second")
_PRINTED_ENDINGS = ("_loss", "_bits_per_byte")  # held out


class MetricsLog(TrainerCallback):
    """Writes what the library's trainer logs."""

    def __init__(self, path: Path, *, tokens_at: Callable[[int], int], step: int) -> None:
        """`tokens_at` gives the tokens trained on after a step; entries of the file after `step` are removed."""
        self.path, self.tokens_at = path, tokens_at
        self.began, self.first_step = time.monotonic(), step
        kept = [entry for entry in read_metrics(path) if 0 < step >= entry["step"]]
        self._before = "".join(json.dumps(entry) + "\n" for entry in kept)

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ARG002
        """Take up the file where the state that training starts from was saved."""
        self.began, self.first_step = time.monotonic(), state.global_step
        if state.is_world_process_zero:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.path.write_text(self._before, encoding="utf-8")

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any] | None = None, **more: Any) -> None:  # noqa: ARG002
        """Write one entry."""
        values = {name: value for name, value in (logs or {}).items() if name not in _LEFT_OUT}
        numbers = {name: float(value) for name, value in values.items() if isinstance(value, int | float)}
        if not numbers or not state.is_world_process_zero:
            return
        step = state.global_step
        entry = {"step": step, "tokens": self.tokens_at(step), **{n: _plain(v) for n, v in numbers.items()}}
        if step > self.first_step:
            since = self.tokens_at(step) - self.tokens_at(self.first_step)
            entry["tokens_per_second"] = round(since / max(time.monotonic() - self.began, 1e-9), 1)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")
        if not sys.stderr.isatty():
            note(_line(entry))


def _plain(value: float) -> float | str:
    """Return a number that JSON has; others as text, such as ``nan``."""
    return value if math.isfinite(value) else str(value)


def _line(entry: Mapping[str, Any]) -> str:
    """``step 20  tokens 10,240  loss 2.31  learning_rate 0.0001``; the file has what the trainer logs besides."""
    counts = f"step {entry['step']:,}  tokens {entry['tokens']:,}"
    shown = {name: value for name, value in entry.items() if name in _PRINTED or name.endswith(_PRINTED_ENDINGS)}
    if sum(name.endswith("_loss") for name in shown) == 2:  # of one source
        shown.pop("eval_loss", None)
    numbers = {name: f"{value:.4g}" if isinstance(value, float) else value for name, value in shown.items()}
    return "  ".join([counts, *(f"{name} {value}" for name, value in numbers.items())])
