"""The longest text that a model can read, where it looks positions up in a table."""

from __future__ import annotations

from typing import Any

from harness.errors import InputError, SpecError
from harness.trainers.data.examples import Encode, EncodedRecord
from harness.trainers.data.formats import TrainingRecord
from harness.trainers.stage.twins import table_of_positions


def within_positions(encode: Encode, config: Any, model_config: Any) -> Encode:
    """Return an encoder whose records a model can read; the same one where the model computes positions.

    Args:
        encode: The stage's encoder.
        config: The library's training configuration.
        model_config: transformers' configuration of the model.

    Raises:
        InputError: ``trainer.max_length`` is larger than the table of positions. The encoder raises it for a prompt
            that leaves no room for the answer that is sampled.
    """
    limit = table_of_positions(model_config)
    if limit is None:
        return encode
    if hasattr(config, "max_length"):
        if config.max_length is None or config.max_length > limit:
            given = "no limit" if config.max_length is None else config.max_length
            raise SpecError(
                f"trainer.max_length: {given} is more than the {limit:,} positions of this "
                f"{model_config.model_type} model; give {limit} or less."
            )
        return encode
    room = limit - config.max_completion_length

    def encode_within(record: TrainingRecord, where: str) -> EncodedRecord | None:
        encoded = encode(record, where)
        if encoded is not None and encoded.tokens > room:
            raise InputError(
                f"{where}: the prompt has {encoded.tokens:,} tokens, which with an answer of "
                f"{config.max_completion_length:,} are more than the {limit:,} positions of this model; remove the "
                "record, or lower trainer.max_completion_length."
            )
        return encoded

    return encode_within
