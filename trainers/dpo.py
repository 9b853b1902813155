"""Preference tuning: TRL's DPOTrainer on pairs of a chosen and a rejected answer.

    harness train stage.yaml --output_path runs/dpo     # stage: dpo

The parent is the reference model. The budget counts the tokens of both answers, each with the prompt.
"""

from __future__ import annotations

from typing import Any

from harness.trainers.data.chat import Tokenizer
from harness.trainers.data.encoding import preference_encoder
from harness.trainers.data.examples import Encode
from harness.trainers.stage.entry_points import entry_points
from harness.trainers.stage.job import Method, StageJob
from harness.trainers.stage.references import build_with_reference


def _config_class() -> type:
    from trl import DPOConfig

    return DPOConfig  # type: ignore[no-any-return]


def _encode(tokenizer: Tokenizer, config: Any) -> Encode:
    return preference_encoder(tokenizer, max_length=config.max_length)


def build(job: StageJob) -> Any:
    """Return TRL's DPOTrainer for a planned stage."""
    from trl import DPOTrainer

    return build_with_reference(job, DPOTrainer)


METHOD = Method(
    stage="dpo",
    config_class=_config_class,
    trainer_class="trl.DPOTrainer",
    defaults={},
    encode=_encode,
    packed_length=lambda _config: None,
    build=build,
    held_out="examples",
)
train, plan = entry_points(METHOD)
