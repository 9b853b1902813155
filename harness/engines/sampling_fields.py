"""Which fields of a checkpoint's ``generation_config.json`` apply to a generation.

The rule, for every engine: the request decides how long a text is and where it stops. Of the checkpoint's file, the
fields below apply unless the request sets them, because they say how a token is chosen; so do its end tokens. All
others (lengths, stop strings, forced tokens, beams, caches, assistants) have no effect.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import MALFORMED, CheckpointError, one_line

if TYPE_CHECKING:
    from transformers import GenerationConfig

# Each depends on the tokens so far and on the scores of the next one, but not on where the prompt ended.
SAMPLING_FIELDS = (
    "top_k", "top_p", "min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff", "repetition_penalty",
    "no_repeat_ngram_size", "bad_words_ids", "suppress_tokens", "sequence_bias", "renormalize_logits",
    "remove_invalid_values",
)  # fmt: skip
_TOKENS = ("bos_token_id", "eos_token_id", "pad_token_id")


def restricted(config: GenerationConfig) -> GenerationConfig:
    """Return a configuration with the sampling fields and end tokens of `config`, and nothing else of it."""
    from transformers import GenerationConfig

    kept = {name: getattr(config, name, None) for name in (*SAMPLING_FIELDS, *_TOKENS)}
    make: Any = GenerationConfig  # untyped
    fresh: GenerationConfig = make(**{name: value for name, value in kept.items() if value is not None})
    return fresh


def sampling_fields(folder: Path) -> Mapping[str, Any]:
    """Return the sampling fields that a checkpoint's ``generation_config.json`` sets; none if there is no such file.

    Raises:
        CheckpointError: The file is damaged.
    """
    from transformers import GenerationConfig

    path = folder / "generation_config.json"
    if not path.is_file():
        return {}
    try:
        config = GenerationConfig.from_pretrained(folder)
    except (*MALFORMED, OSError) as error:
        raise CheckpointError(f"{path}: cannot be read ({one_line(error, max_characters=200)}); restore it.") from None
    return {name: value for name in SAMPLING_FIELDS if (value := getattr(config, name, None)) is not None}
