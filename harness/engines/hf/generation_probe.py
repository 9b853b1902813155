"""Test a model, when it first generates, for how prompts may be batched. There is no list of architectures.

Three things hold for plain attention with a cache, but not for every model:

    padding    . . . e f g h    a short prompt, padded on the left, continues as it does without padding
               a b c d e f g
    stages     a b c | d e      after a few tokens, rows are dropped and the others continue from their cache
    prefix     a b c | d e      what prompts begin with is computed once for all of them
               a b c | f

RWKV reads the padding. With a prompt-tuning adapter, padding moves the prompt away from the adapter's tokens. PEFT puts
a prefix-tuning adapter's prefix into each stage once more. RecurrentGemma keeps its states in its modules, where no row
can be dropped. Where a test fails, a batch has prompts of one length, a single stage, or prompts that are computed
whole.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.engines.hf.decoding import continuing_cache, padded
from harness.engines.hf.shared_prefix import SharedPrefix
from harness.engines.hf.steps import PaddedPrefix, fast_steps
from harness.errors import first_line

logger = logging.getLogger(__name__)

_LONG, _SHORT = 7, 4
# Largest difference between logits, relative to the largest logit: rounding differs with the shapes.
_AGREE = {torch.float32: 1e-4, torch.float16: 5e-3, torch.bfloat16: 4e-2}
# Other padding tokens leave all shapes unchanged, so rounding hardly differs.
_SAME = 1e-5


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How prompts may be batched.

    Attributes:
        pads: Whether prompts of different lengths may share a batch.
        stages: Whether rows may be dropped from the cache, and the others continue from it.
        shares_prefixes: Whether prompts of different lengths may continue from the cache of their shared prefix.
    """

    pads: bool
    stages: bool
    shares_prefixes: bool


def batching_of(model: Any) -> Batching:
    """Test `model`, a causal language model in evaluation mode, and return what holds for it.

    If the test of padding or of stages fails or raises, a warning is logged. The test of shared prefixes fails
    silently, because only speed depends on it.
    """
    drawn = random.Random(0)
    vocabulary = model.config.get_text_config().vocab_size
    long, other, short = ([drawn.randrange(vocabulary) for _ in range(count)] for count in (_LONG, _LONG, _SHORT))
    with fast_steps(model.device):
        pads = _holds(
            lambda: _padding_is_hidden(model, long, short),
            "prompts of different lengths are generated in separate batches",
        )
        stages = _holds(
            lambda: _cache_continues(model, long, other),
            "finished rows of a batch are computed until the last one ends",
        )
        shares = pads and stages and _holds(lambda: _prefix_is_shared(model, long, short, other), None)
    return Batching(pads=pads, stages=stages, shares_prefixes=shares)


def _holds(test: Callable[[], bool], otherwise: str | None) -> bool:
    """The test's result; False if it raises. A failure logs `otherwise`, which says what changes; None logs nothing."""
    try:
        holds, reason = test(), "its continuations differ"
    except Exception as error:  # logged below
        holds, reason = False, first_line(error)
    if not holds and otherwise is not None:
        logger.warning("%s on this model: %s", otherwise, reason)
    return holds


def _padding_is_hidden(model: Any, long: Sequence[int], short: Sequence[int]) -> bool:
    alone = _logits(_generate(model, [short], new=2))
    beside = _logits(_generate(model, [long, short], new=2, padding=0))
    exchanged = _logits(_generate(model, [long, short], new=1, padding=1))
    return _equal(beside[1:], alone, _agreement(model)) and _equal(beside[:, :1], exchanged, _SAME)


def _cache_continues(model: Any, long: Sequence[int], other: Sequence[int]) -> bool:
    whole = _generate(model, [other, long], new=2)
    first = _generate(model, [other, long], new=1)
    cache = continuing_cache(first, [1])
    if cache is None:
        return False
    second = _generate(model, first.sequences[1:].tolist(), new=1, cache=cache)
    return _equal(_logits(second), _logits(whole)[1:, 1:], _agreement(model))


def _prefix_is_shared(model: Any, start: Sequence[int], *rests: Sequence[int]) -> bool:
    prompts = [[*start, *rest] for rest in rests]
    whole = _generate(model, prompts, new=2)
    prefix, lengths = SharedPrefix(model, start), [len(prompt) for prompt in prompts]
    padding = torch.tensor([max(lengths) - length for length in lengths])
    with fast_steps(model.device, PaddedPrefix(prefix=prefix, padding=padding)):
        behind = _generate(model, prompts, new=2, cache=prefix.cache(lengths))
    return _equal(_logits(behind), _logits(whole), _agreement(model))


def _generate(model: Any, prompts: Sequence[Sequence[int]], *, new: int, padding: int = 0, cache: Any = None) -> Any:
    ids, mask = padded(prompts, padding)
    return model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        past_key_values=cache,
        max_new_tokens=new,
        do_sample=False,
        eos_token_id=model.config.get_text_config().vocab_size,  # no such token, so no row ends
        pad_token_id=padding,
        use_cache=True,
        return_dict_in_generate=True,
        output_logits=True,
    )


def _logits(output: Any) -> Tensor:
    """[rows, new tokens, vocabulary]"""
    return torch.stack(output.logits, dim=1).float()


def _agreement(model: Any) -> float:
    return _AGREE.get(model.dtype, _AGREE[torch.bfloat16])


def _equal(a: Tensor, b: Tensor, tolerance: float) -> bool:
    return a.shape == b.shape and bool((a - b).abs().max() <= tolerance * b.abs().max())
