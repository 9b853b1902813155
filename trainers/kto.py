"""Preference tuning on single answers, each marked as good or bad: TRL's KTOTrainer.

    harness train stage.yaml --output_path runs/kto     # stage: kto

The parent is the reference model. The budget counts the tokens of each prompt with its answer. A batch needs at least
two records: the loss compares each prompt with the answer to another one.
"""

from __future__ import annotations

from typing import Any

from harness.trainers.data.chat import Tokenizer
from harness.trainers.data.encoding import marked_answer_encoder
from harness.trainers.data.examples import Encode
from harness.trainers.stage.entry_points import entry_points
from harness.trainers.stage.job import Method, StageJob
from harness.trainers.stage.references import build_with_reference


def _config_class() -> type:
    from trl import KTOConfig

    return KTOConfig  # type: ignore[no-any-return]


def _encode(tokenizer: Tokenizer, config: Any) -> Encode:
    return marked_answer_encoder(tokenizer, max_length=config.max_length)


def _collator(job: StageJob) -> Any:
    """Return TRL's collator, which here also gives each prompt of a batch the answer to the prompt before it.

    TRL adds these to the whole data set in advance, by batches of the same size; the batches of a stream are known
    only here.
    """
    # batch        prompt 1 + answer 1   prompt 2 + answer 2   prompt 3 + answer 3
    # compared     prompt 1 + answer 3   prompt 2 + answer 1   prompt 3 + answer 2
    from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference

    class ComparingCollator(DataCollatorForUnpairedPreference):  # type: ignore[misc] # the library is untyped
        """See `_collator`."""

        def torch_call(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
            answers = [example["completion_ids"] for example in examples]
            others = answers[-1:] + answers[:-1]
            pairs = [{**example, "KL_completion_ids": other} for example, other in zip(examples, others, strict=True)]
            batch: dict[str, Any] = super().torch_call(pairs)
            return batch

    kind = DataCollatorForUnpairedPreference if job.config.loss_type == "apo_zero_unpaired" else ComparingCollator
    return kind(
        pad_token_id=job.tokenizer.pad_token_id,
        max_length=job.config.max_length,
        pad_to_multiple_of=job.config.pad_to_multiple_of,
    )


def build(job: StageJob) -> Any:
    """Return TRL's KTOTrainer for a planned stage."""
    from trl import KTOTrainer

    return build_with_reference(job, KTOTrainer, data_collator=_collator(job))


METHOD = Method(
    stage="kto",
    config_class=_config_class,
    trainer_class="trl.KTOTrainer",
    defaults={},
    encode=_encode,
    packed_length=lambda _config: None,
    build=build,
    held_out="examples",
)
train, plan = entry_points(METHOD)
