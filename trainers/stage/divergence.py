"""Stop a training that has diverged, before an unusable state replaces a good one."""

from __future__ import annotations

import math
from typing import Any

from transformers import TrainerCallback

from harness.console import note
from harness.errors import HarnessError

# Losses or gradient norms in a row that may be infinite or NaN: with float16 the scaler skips such steps.
PATIENCE = 3
# GRPO learns nothing from answers that all have the same reward.
STEPS_WITHOUT_VARIANCE = 20
CONSTANT = "all answers to each prompt had the same reward"


class DivergenceError(HarnessError):
    """Training cannot recover."""


class StopWhenDiverged(TrainerCallback):
    """Raises an error when weights are not finite, or when loss or gradients stay so for `PATIENCE` log entries.

    Weights are looked at after every step, and the trainer saves a state after that: a saved state is a good one.
    """

    def __init__(self) -> None:
        """Begin without any bad entry."""
        self.bad = 0

    def on_step_end(self, args: Any, state: Any, control: Any, model: Any = None, **more: Any) -> None:  # noqa: ARG002
        """Look at all trained weights: their common norm is finite only if each of them is."""
        import torch

        trained = [
            parameter.detach() for parameter in model.parameters() if parameter.requires_grad and parameter.numel()
        ]
        if trained and not torch.nn.utils.get_total_norm(trained).isfinite():
            self._stop(state, "the weights are not finite")

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **more: Any) -> None:  # noqa: ARG002
        """Count entries whose loss or gradient norm is not finite."""
        values = {name: float(logs[name]) for name in ("loss", "grad_norm") if logs and name in logs}
        if not values:
            return  # an entry about something else, such as the held-out loss
        wrong = [f"{name} {value}" for name, value in values.items() if not math.isfinite(value)]
        self.bad = self.bad + 1 if wrong else 0
        if self.bad >= PATIENCE:
            self._stop(state, f"{wrong[0]} in the last {PATIENCE} log entries")

    def on_train_end(self, args: Any, state: Any, control: Any, **more: Any) -> None:  # noqa: ARG002
        """Refuse a stage whose last entry is not finite."""
        if self.bad:
            self._stop(state, "loss or gradient norm is not finite in the last log entry")

    @staticmethod
    def _stop(state: Any, reason: str) -> None:
        raise DivergenceError(
            f"training diverged at step {state.global_step}: {reason}; the last saved state is from before that. Lower "
            "trainer.learning_rate or set trainer.max_grad_norm, and start in a new folder."
        )


class NoteConstantRewards(TrainerCallback):
    """Notes that for `STEPS_WITHOUT_VARIANCE` log entries all answers to each prompt had the same reward."""

    def __init__(self, notes: list[str]) -> None:
        """Notes are appended to `notes`, once."""
        self.notes, self.constant = notes, 0

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **more: Any) -> None:  # noqa: ARG002
        """Count entries in which no prompt's rewards differ."""
        if not logs or "frac_reward_zero_std" not in logs:
            return
        self.constant = self.constant + 1 if float(logs["frac_reward_zero_std"]) >= 1.0 else 0
        if self.constant == STEPS_WITHOUT_VARIANCE and not any(CONSTANT in one for one in self.notes):
            sentence = (
                f"{CONSTANT} for {STEPS_WITHOUT_VARIANCE} log entries up to step "
                f"{state.global_step}, so nothing was learned there; give easier or harder problems, or sample more."
            )
            self.notes.append(sentence)
            if state.is_world_process_zero:
                note(sentence)
