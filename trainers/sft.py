"""Instruction tuning: TRL's SFTTrainer on instructions, conversations, and prompts with completions.

    harness train stage.yaml --output_path runs/sft     # stage: sft

The loss covers the completion only, unless ``trainer: {completion_only_loss: false}`` is set. ``trainer: {packing:
true}`` fills sequences of `max_length` tokens with records and keeps their boundaries.
"""

from __future__ import annotations

from typing import Any

from harness.trainers.data.chat import Tokenizer
from harness.trainers.data.encoding import completion_encoder
from harness.trainers.data.examples import Encode
from harness.trainers.stage.adapters import model_and_adapter
from harness.trainers.stage.entry_points import entry_points
from harness.trainers.stage.job import Method, StageJob


def _config_class() -> type:
    from trl import SFTConfig

    return SFTConfig  # type: ignore[no-any-return]


def _encode(tokenizer: Tokenizer, config: Any) -> Encode:
    return completion_encoder(
        tokenizer,
        max_length=None if config.packing else config.max_length,
        completion_only=config.completion_only_loss is not False,
    )


def build(job: StageJob) -> Any:
    """Return TRL's SFTTrainer for a planned stage."""
    from trl import SFTTrainer

    from harness.trainers.stage.held_out_loss import with_held_out_loss

    job.config.dataset_kwargs = {"skip_prepare_dataset": True}  # the stream has tokens and labels already
    model, adapter = model_and_adapter(job)
    trainer_class = with_held_out_loss(SFTTrainer, job)
    return trainer_class(
        model=model,
        args=job.config,
        train_dataset=job.dataset,
        eval_dataset=job.eval_dataset,
        processing_class=job.tokenizer,
        peft_config=adapter,
        callbacks=job.callbacks,
    )


METHOD = Method(
    stage="sft",
    config_class=_config_class,
    trainer_class="trl.SFTTrainer",
    defaults={},
    encode=_encode,
    packed_length=lambda config: config.max_length if config.packing else None,
    build=build,
    held_out="tokens",
)
train, plan = entry_points(METHOD)
