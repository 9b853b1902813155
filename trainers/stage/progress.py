"""The progress bar of training: tokens, loss, tokens per second, time left. Shown on a terminal only."""

from __future__ import annotations

import sys
import time
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import TrainerCallback

from harness.console import VisibleConsole


class TrainingProgress(TrainerCallback):
    """A bar on standard error, updated by the library trainer's callbacks."""

    def __init__(self, *, name: str, tokens: int, steps: int) -> None:
        """`tokens` and `steps` are the whole stage's."""
        self.tokens, self.steps = tokens, steps
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("tokens  {task.fields[loss]}  {task.fields[rate]}"),
            TimeRemainingColumn(),
            console=VisibleConsole(file=sys.stderr),
            transient=True,
            disable=not sys.stderr.isatty(),
        )
        self.task = self.bar.add_task(name, total=tokens, loss="", rate="")
        self.began, self.first_step = time.monotonic(), 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ARG002
        """Start the bar at the first step of this run."""
        self.began, self.first_step = time.monotonic(), state.global_step
        if state.is_world_process_zero:
            self.bar.start()

    def on_step_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ARG002
        """Advance the bar."""
        done = self.tokens * state.global_step / self.steps
        since = self.tokens * (state.global_step - self.first_step) / self.steps
        rate = since / max(time.monotonic() - self.began, 1e-9)
        self.bar.update(self.task, completed=round(done), rate=f"{rate:,.0f} tokens/s")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **more: Any) -> None:  # noqa: ARG002
        """Show the latest loss, learning rate and gradient norm."""
        shown = {"loss": "loss", "learning_rate": "rate", "grad_norm": "gradient"}
        values = [f"{word} {logs[name]:.4g}" for name, word in shown.items() if logs and name in logs]
        if logs and "loss" in logs:
            self.bar.update(self.task, loss="  ".join(values))

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ARG002
        """Remove the bar."""
        self.bar.stop()
