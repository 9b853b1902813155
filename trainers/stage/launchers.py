"""DeepSpeed and FSDP run under a launcher; a plan reads their configuration without one.

accelerate launch --num_processes 4 -m harness train stage.yaml --output_path runs/a
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from harness.errors import SpecError, one_line

LAUNCH = "accelerate launch --num_processes N -m harness train STAGE.yaml --output_path DIR"
SPREADS = ("fsdp", "fsdp_config", "deepspeed")  # fields that spread a model over processes


def is_launched() -> bool:
    """Whether a launcher started this process, as one of several."""
    return "RANK" in os.environ


def check_launched(trainer: Mapping[str, Any]) -> None:
    """Raises: InputError: the stage needs DeepSpeed, and no launcher started this process."""
    if trainer.get("deepspeed") and not is_launched():
        raise SpecError(f"trainer.deepspeed: works under a launcher only; run {LAUNCH}")


def without_deepspeed(fields: Mapping[str, Any]) -> tuple[Mapping[str, Any], Any]:
    """Return a stage file that can be planned in this process, and the DeepSpeed configuration that was taken out."""
    trainer = fields.get("trainer")
    if is_launched() or not isinstance(trainer, Mapping) or not trainer.get("deepspeed"):
        return fields, None
    rest = {name: value for name, value in trainer.items() if name != "deepspeed"}
    return {**fields, "trainer": rest}, trainer["deepspeed"]


def check_deepspeed(given: Any, config: Any, model_config: Any) -> None:
    """Check that a DeepSpeed configuration can be read, and agrees with the rest of the stage.

    Args:
        given: A file, or the configuration itself.
        config: The library's training configuration.
        model_config: transformers' configuration of the model.

    Raises:
        InputError: it cannot be read, a value differs from that of the stage file, or DeepSpeed is not installed.
    """
    from importlib.util import find_spec

    if find_spec("deepspeed") is None:
        raise SpecError("trainer.deepspeed: the package is not installed; run pip install deepspeed, or remove it.")
    from transformers.integrations.deepspeed import HfTrainerDeepSpeedConfig

    reader: Any = HfTrainerDeepSpeedConfig
    try:
        read = reader(given)
        read.trainer_config_process(config)
        read.trainer_config_finalize(config, SimpleNamespace(config=model_config), config.max_steps)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise SpecError(f"trainer.deepspeed: {one_line(error, max_characters=300)}") from None
