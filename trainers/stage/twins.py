"""A tiny twin of a model: the same architecture and vocabulary, with few and narrow layers and new weights.

    SmolLM2-1.7B  ->  2 layers, 4 heads, hidden size 64

What fails with the twin, such as a name in `target_modules` that no layer has, fails with the model too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from inspect import signature
from typing import Any

from harness.errors import SpecError, one_line

# Sizes that most architectures have under these names; a config that lacks one, or does not allow it, keeps its own.
NARROW = {
    "hidden_size": 64, "intermediate_size": 128, "moe_intermediate_size": 64, "shared_expert_intermediate_size": 64,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16, "ffn_dim": 128, "word_embed_proj_dim": 64,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_kv_heads": 2, "rotary_dim": 8,
    "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 16, "qk_nope_head_dim": 16, "v_head_dim": 16,
    "lru_width": 64, "attention_hidden_size": 64, "mamba_n_heads": 8, "mamba_d_head": 16, "mamba_d_ssm": 128,
    "num_heads": 8, "vocab_size_per_layer_input": 512, "hidden_size_per_layer_input": 16, "num_experts_per_tok": 2,
    "n_group": 1, "topk_group": 1,
}  # fmt: skip
LARGEST = 100_000_000  # parameters; a larger twin is too slow to try
LEAST_LAYERS = 2
LONGEST_TABLE = 8192  # positions; longer ones are computed, not looked up
OFFSET = 2  # extra rows of some tables (OPT has 2)


def tiny_twin(config: Any) -> Any:
    """Return the configuration of a tiny model of the same architecture; None if none is known that works."""
    for candidate in _candidates(config):
        with suppress(Exception):  # the libraries raise all kinds of errors for sizes that do not fit
            if count_parameters(candidate) <= LARGEST:
                _forward(new_model(candidate), 4)
                return candidate
    return None


def empty_model(config: Any) -> Any:
    """Return a model of this configuration without allocating its weights.

    Raises:
        InputError: transformers cannot build one.
    """
    import torch
    from transformers import AutoModelForCausalLM

    causal: Any = AutoModelForCausalLM
    try:
        with torch.device("meta"):
            return causal.from_config(config)
    except (ValueError, TypeError, AttributeError, RuntimeError, ZeroDivisionError, KeyError) as error:
        reason = one_line(error, max_characters=200)
        raise SpecError(
            f"architecture: a {config.model_type} model of these sizes cannot be built ({reason}); correct them."
        ) from None


def count_parameters(config: Any) -> int:
    """Return the number of parameters of a model of this configuration, without allocating its weights."""
    return sum(parameter.numel() for parameter in empty_model(config).parameters())


def _candidates(config: Any) -> Iterator[Any]:
    """Yield smaller configurations, the smallest first, and the model's own last."""
    with suppress(Exception):  # a config may compute its layers, and refuse others
        shallow = _shallow(config)
        narrow = deepcopy(shallow)
        text = narrow.get_text_config()
        for name, size in NARROW.items():
            if isinstance(held := getattr(text, name, None), int) and not isinstance(held, bool):
                with suppress(AttributeError):  # a size that the config computes from others
                    setattr(text, name, min(size, held))
        yield narrow
        yield shallow
    yield config


def _shallow(config: Any) -> Any:
    """Return the configuration with two layers, or with one of each kind where a list names the kinds."""
    shallow = deepcopy(config)
    text = shallow.get_text_config()
    layers = text.num_hidden_layers
    kinds = getattr(text, "layer_types", None) or ["same"] * layers
    kept = [kinds.index(kind) for kind in dict.fromkeys(kinds)]
    kept = sorted({*kept, *range(min(LEAST_LAYERS, layers))})
    for name, held in list(vars(text).items()):
        if isinstance(held, list) and len(held) == layers:
            setattr(text, name, [held[place] for place in kept])
    text.num_hidden_layers = len(kept)
    return shallow


def new_model(config: Any) -> Any:
    """Return a model of a configuration with new weights."""
    import torch
    from transformers import AutoModelForCausalLM

    causal: Any = AutoModelForCausalLM
    with torch.random.fork_rng(devices=[]):
        return causal.from_config(config, dtype=torch.float32)


def _forward(model: Any, tokens: int) -> None:
    import torch

    with torch.no_grad():
        model(input_ids=torch.zeros((1, tokens), dtype=torch.long), use_cache=False)


def table_of_positions(config: Any) -> int | None:
    """Return the largest number of positions of a model that looks them up in a table (GPT-2: 1024); otherwise None."""
    import torch

    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    rotary = getattr(config.get_text_config(), "rope_parameters", None)
    if not isinstance(positions, int) or positions > LONGEST_TABLE or rotary:
        return None
    twin = tiny_twin(config)
    if twin is None:
        return None
    model = new_model(twin).eval()
    place = {"position_ids": torch.tensor([[positions + OFFSET]])}
    if "position_ids" not in signature(model.forward).parameters:
        return None
    try:
        with torch.no_grad():
            model(input_ids=torch.zeros((1, 1), dtype=torch.long), use_cache=False, **place)
    except (IndexError, RuntimeError, ValueError):
        return positions
    return None
