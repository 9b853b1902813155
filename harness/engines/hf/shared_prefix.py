"""The prefix that many prompts share, such as the same examples, is computed once.

Prompts are padded on the left, so their prefix is at different places (`.` is padding, `|` ends what is cached):

    row 0   P R E F I X i s | q u e s t i o n 0
    row 1   . . . P R E F I | X i s q u e s t 1

What is cached is a rectangle. It ends where the prompt with the most tokens of its own leaves the prefix; the other
rows compute the rest of the prefix again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

MIN_PROMPTS = 8  # that share a prefix before it is computed separately
MIN_PREFIX_TOKENS = 64


class SharedPrefix:
    """Keys and values of a prefix that all prompts of a group share.

    Args:
        model: A causal language model in evaluation mode.
        tokens: The prefix, as token ids.

    Raises:
        ValueError: the model's cache cannot be divided by tokens.
    """

    @torch.inference_mode()
    def __init__(self, model: Any, tokens: Sequence[int]) -> None:
        ids = torch.tensor([list(tokens)], device=model.device)
        cache = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
        layers: list[Any] = cache.layers if type(cache) is DynamicCache else []
        if not layers or any(type(layer) is not DynamicLayer for layer in layers):
            raise ValueError("its cache is of another kind")
        self._states: list[tuple[Tensor, Tensor]] = [(layer.keys[0], layer.values[0]) for layer in layers]
        self._length = len(tokens)

    def states(self, layer: int) -> tuple[Tensor, Tensor] | None:
        """A layer's keys and values, [key heads, prefix, head dim] each; None if the layer has none of its own."""
        return self._states[layer] if 0 <= layer < len(self._states) else None

    def cache(self, lengths: Sequence[int]) -> DynamicCache:
        """Return a cache for prompts that begin with the prefix.

        Args:
            lengths: Tokens of each prompt: those of the prefix and at least one more.

        Returns:
            Keys and values, [rows, key heads, cached, head dim], zero where a prompt is padded. ``cached`` is the
            longest prompt, less the most tokens that any prompt has after the prefix.
        """
        width = max(lengths)
        cached = width - max(length - self._length for length in lengths)
        paddings = [min(width - length, cached) for length in lengths]
        made = DynamicCache()
        for number, states in enumerate(self._states):
            keys, values = (_in_place(each, paddings, cached) for each in states)
            made.update(keys, values, number)
        return made


def _in_place(states: Tensor, paddings: Sequence[int], width: int) -> Tensor:
    """Repeat [heads, tokens, dim] for each row, behind its padding: [rows, heads, width, dim]."""
    placed = states.new_zeros(len(paddings), states.shape[0], width, states.shape[2])
    for row, padding in enumerate(paddings):
        placed[row, :, padding:] = states[:, : width - padding]
    return placed


def group_by_prefix(prompts: Mapping[int, Sequence[int]]) -> Iterator[tuple[list[int], list[int]]]:
    """Group prompts by the prefix that they share.

    Args:
        prompts: Token ids by index.

    Yields:
        The prefix, and the indices of its prompts. The last group has the prompts without one: its prefix is empty.
    """
    groups: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, tokens in prompts.items():
        groups[tuple(tokens[:MIN_PREFIX_TOKENS])].append(index)
    others: list[int] = []
    for members in groups.values():
        prefix = _shared([prompts[index] for index in members]) if len(members) >= MIN_PROMPTS else []
        if len(prefix) >= MIN_PREFIX_TOKENS:
            yield prefix, members
        else:
            others += members
    if others:
        yield [], others


def _shared(prompts: Sequence[Sequence[int]]) -> list[int]:
    """Return the tokens that all prompts begin with, without the last token of any."""
    tokens = [list(prompt) for prompt in prompts]
    first, last = min(tokens), max(tokens)  # in order; what these two share, all share
    most = min(map(len, prompts)) - 1
    same = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), most)
    return first[: min(same, most)]
