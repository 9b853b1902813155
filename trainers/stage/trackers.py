"""Experiment trackers (`report_to`: wandb, trackio, tensorboard, ...) with tokens on the horizontal axis.

Stages with other batch sizes or lengths have steps that cannot be compared; their tokens can. The library's callbacks
use ``state.global_step`` as the axis, so their `on_log` is given a state whose step is the number of tokens. The step
itself is logged beside the other values, as ``step``.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any

MODULE = "transformers.integrations.integration_utils"
# These report progress, or measure energy; they need the step itself.
WITH_STEPS = ("KubeflowCallback", "CodeCarbonCallback", "FlyteCallback")


def tracker_callbacks(trainer: Any) -> list[Any]:
    """Return a trainer's callbacks that report to experiment trackers."""
    return [callback for callback in trainer.callback_handler.callbacks if type(callback).__module__ == MODULE]


def put_tokens_on_the_axis(trainer: Any, tokens_at: Callable[[int], int]) -> None:
    """Let a trainer's trackers use tokens in place of steps; `tokens_at` gives the tokens trained on after a step."""
    for callback in tracker_callbacks(trainer):
        if type(callback).__name__ not in WITH_STEPS:
            callback.on_log = _with_tokens(callback.on_log, tokens_at)


def _with_tokens(on_log: Callable[..., Any], tokens_at: Callable[[int], int]) -> Callable[..., Any]:
    def on_log_with_tokens(args: Any, state: Any, control: Any, *, logs: dict[str, Any], **more: Any) -> Any:
        moved = copy(state)
        moved.global_step = tokens_at(state.global_step)
        return on_log(args, moved, control, logs={**logs, "step": state.global_step}, **more)

    return on_log_with_tokens
