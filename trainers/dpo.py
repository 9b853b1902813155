"""Preference tuning: TRL's DPOTrainer on pairs of a chosen and a rejected answer.

    harness train stage.yaml --output_path runs/dpo     # stage: dpo

The parent is the reference model. The budget counts the tokens of both answers, each with the prompt.
"""

from __future__ import annotations

from typing import Any

from harness.trainers.data.chat import Tokenizer
from harness.trainers.data.encoding import preference_encoder
from harness.trainers.data.examples import Encode
from harness.trainers.stage.adapters import model_and_adapter
from harness.trainers.stage.entry_points import entry_points
from harness.trainers.stage.job import Method, StageJob


def _config_class() -> type:
    from trl import DPOConfig

    return DPOConfig  # type: ignore[no-any-return]


def _encode(tokenizer: Tokenizer, config: Any) -> Encode:
    return preference_encoder(tokenizer, max_length=config.max_length)


def build(job: StageJob) -> Any:
    """Return TRL's DPOTrainer for a planned stage."""
    from copy import deepcopy

    from trl import DPOTrainer

    from harness.trainers.stage.held_out_loss import with_held_out_loss

    class StreamedDPOTrainer(DPOTrainer):  # type: ignore[misc] # the library is untyped
        """TRL's trainer without its own tokenization: `encoding` makes the same tokens."""

        def _prepare_dataset(self, dataset: Any, *_args: Any, **_more: Any) -> Any:
            return dataset

    model, adapter = model_and_adapter(job)
    trainer_class = with_held_out_loss(StreamedDPOTrainer, job)
    return trainer_class(
        model=model,
        ref_model=deepcopy(model) if adapter is None else None,
        args=job.config,
        train_dataset=job.dataset,
        eval_dataset=job.eval_dataset,
        processing_class=job.tokenizer,
        peft_config=adapter,
        callbacks=job.callbacks,
    )


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
