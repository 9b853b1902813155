"""Trainers that compare a model with a reference: its parent, as it was before the first step."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from harness.trainers.stage.adapters import model_and_adapter
from harness.trainers.stage.job import StageJob


def build_with_reference(job: StageJob, trainer_class: type, **more: Any) -> Any:
    """Return one of TRL's preference trainers for a planned stage.

    With an adapter, the model without it is the reference.

    Args:
        job: The stage.
        trainer_class: TRL's class.
        more: Further arguments of its constructor.
    """
    from harness.trainers.stage.held_out_loss import with_held_out_loss

    class StreamedTrainer(trainer_class):  # type: ignore[misc] # a class that is known at run time only
        """TRL's trainer without its own tokenization: `encoding` makes the same tokens."""

        def _prepare_dataset(self, dataset: Any, *_args: Any, **_more: Any) -> Any:
            return dataset

    model, adapter = model_and_adapter(job)
    return with_held_out_loss(StreamedTrainer, job)(
        model=model,
        ref_model=deepcopy(model) if adapter is None else None,
        args=job.config,
        train_dataset=job.dataset,
        eval_dataset=job.eval_dataset,
        processing_class=job.tokenizer,
        peft_config=adapter,
        callbacks=job.callbacks,
        **more,
    )
