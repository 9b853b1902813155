"""Pretraining, from scratch or continued: transformers' Trainer on packed documents.

    harness train stage.yaml --output_path runs/base     # stage: pretrain

Documents fill sequences of ``trainer: {max_length: 1024}`` tokens. Positions restart with each document, so that it
neither attends to nor predicts another document in its sequence; a model for which this does not hold is refused unless
``separate_documents: false`` is set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.trainers.data.chat import Tokenizer
from harness.trainers.data.encoding import text_encoder
from harness.trainers.data.examples import Encode
from harness.trainers.stage.adapters import model_and_adapter
from harness.trainers.stage.entry_points import entry_points
from harness.trainers.stage.job import Method, StageJob

if TYPE_CHECKING:
    import torch


def _config_class() -> type:
    from harness.trainers.pretrain_config import PretrainConfig

    return PretrainConfig


def _encode(tokenizer: Tokenizer, _config: Any) -> Encode:
    return text_encoder(tokenizer)


@dataclass(frozen=True)
class PackedCollator:
    """Batches packed sequences; the positions tell the model where each document begins.

    transformers derives document boundaries from the positions only when no key-value cache is in use. Models create
    one in training as well, unless `use_cache` is false; then every document would attend to those before it.
    """

    # Two documents of 5 and 3 tokens in a sequence of 8:
    #   seq_lengths [5, 3]  ->  position_ids [0, 1, 2, 3, 4, 0, 1, 2]

    separate: bool = True

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor | bool]:
        """Return `input_ids`, `labels` and, if documents are kept apart, `position_ids`, each (batch, length)."""
        import torch

        batch: dict[str, torch.Tensor | bool] = {
            "input_ids": torch.tensor([example["input_ids"] for example in examples]),
            "labels": torch.tensor([example["labels"] for example in examples]),
            "use_cache": False,
        }
        if self.separate:
            positions = [[p for length in example["seq_lengths"] for p in range(length)] for example in examples]
            batch["position_ids"] = torch.tensor(positions)
        return batch


def build(job: StageJob) -> Any:
    """Return transformers' Trainer for a planned stage."""
    from transformers import Trainer, set_seed

    from harness.trainers.stage.held_out_loss import with_held_out_loss

    model, adapter = model_and_adapter(job)
    set_seed(job.spec.seed)
    if adapter is not None:
        from peft import get_peft_model

        model = get_peft_model(model, adapter)
        if job.config.gradient_checkpointing:
            model.enable_input_require_grads()
    trainer_class = with_held_out_loss(Trainer, job)
    return trainer_class(
        model=model,
        args=job.config,
        data_collator=PackedCollator(job.config.separate_documents),
        train_dataset=job.dataset,
        eval_dataset=job.eval_dataset,
        processing_class=job.tokenizer,
        callbacks=job.callbacks,
    )


METHOD = Method(
    stage="pretrain",
    config_class=_config_class,
    trainer_class="transformers.Trainer",
    defaults={"remove_unused_columns": False},
    encode=_encode,
    packed_length=lambda config: config.max_length,
    build=build,
    held_out="tokens",
)
train, plan = entry_points(METHOD)
