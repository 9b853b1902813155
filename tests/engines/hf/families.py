"""Tiny random-weight models of each architecture, saved as checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import transformers as tf
from transformers import PretrainedConfig, set_seed

from tests.models import tiny_tokenizer

MAX_LENGTH = 96
# Wide weights, so that a wrong mask or position changes scores by whole nats and cannot hide in a tolerance.
INITIALIZER_RANGE = 0.2

HF: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": MAX_LENGTH,
}
GQA: dict[str, Any] = {**HF, "num_key_value_heads": 2}

# Architectures that are packed.
PACKED: dict[str, Callable[[], PretrainedConfig]] = {
    "llama": lambda: tf.LlamaConfig(**GQA),
    "qwen2": lambda: tf.Qwen2Config(**GQA),
    "qwen3": lambda: tf.Qwen3Config(**GQA, head_dim=8),
    "mistral": lambda: tf.MistralConfig(**GQA, sliding_window=None),
    "gemma": lambda: tf.GemmaConfig(**GQA, head_dim=8),
    "gemma2": lambda: tf.Gemma2Config(**GQA, head_dim=8, final_logit_softcapping=5.0),
    "gemma3": lambda: tf.Gemma3TextConfig(**GQA, head_dim=8),
    "gpt2": lambda: tf.GPT2Config(n_embd=32, n_layer=2, n_head=4, n_positions=MAX_LENGTH),
    "gpt_neox": lambda: tf.GPTNeoXConfig(**HF),
    "opt": lambda: tf.OPTConfig(**HF, ffn_dim=64, word_embed_proj_dim=32),
    "phi": lambda: tf.PhiConfig(**HF),
    "phi3": lambda: tf.Phi3Config(**GQA, pad_token_id=1),
    "cohere": lambda: tf.CohereConfig(**GQA, logit_scale=0.25),
}
# Architectures that cannot be packed, each for a different reason.
IN_ROWS: dict[str, Callable[[], PretrainedConfig]] = {
    "bloom (ALiBi)": lambda: tf.BloomConfig(hidden_size=32, n_layer=2, n_head=4),
    # Returns the logits of all positions; it ignores `logits_to_keep`.
    "xlstm (recurrent)": lambda: tf.xLSTMConfig(hidden_size=128, num_heads=4, num_blocks=2, chunk_size=4),
    "mamba (recurrent)": lambda: tf.MambaConfig(hidden_size=32, num_hidden_layers=2, state_size=4),
}
# A window shorter than some requests: only the others are packed.
WINDOW = 24
WINDOWED: dict[str, Callable[[], PretrainedConfig]] = {
    "mistral, sliding window": lambda: tf.MistralConfig(**GQA, sliding_window=WINDOW),
    "gemma3, sliding window": lambda: tf.Gemma3TextConfig(**GQA, head_dim=8, sliding_window=WINDOW),
}
ALL = {**PACKED, **IN_ROWS, **WINDOWED}


def save_family(folder: Path, name: str, *, max_length: int = MAX_LENGTH) -> Path:
    """Save a random model of the architecture, with a context of `max_length`, and its tokenizer; returns `folder`."""
    set_seed(0)
    tokenizer = tiny_tokenizer()
    config = ALL[name]()
    config.max_position_embeddings = max_length
    config.vocab_size = len(tokenizer)
    config.bos_token_id, config.eos_token_id = tokenizer.bos_token_id, tokenizer.eos_token_id
    config.initializer_range = INITIALIZER_RANGE
    model: Any = tf.AutoModelForCausalLM.from_config(config)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(folder)
    return folder
