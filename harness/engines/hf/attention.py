"""Attention over a pack: one row of tokens, of which each attends to its own ancestors alone.

Registered with transformers under a name of its own, so that every architecture which calls attention through the
`AttentionInterface` can run packs without a change to its code. Which tokens go into a pack is decided elsewhere.

The dense layers see the row as it is, without padding. Attention takes the trees apart again: on a CPU one after the
other, on a GPU padded to one batch, since there a call costs more than its padding.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from harness.engines.hf.prefix_tree import TokenTree

NAME = "harness_packed"


class CannotPackError(Exception):
    """An architecture, or a pack, needs an attention that packs do not have; rows give its scores."""


@dataclass(slots=True)
class States:
    """Keys and values of a prefix, one pair for each attention call of a forward pass.

    Attributes:
        keys: Each [1, key heads, prefix tokens, head dim].
        values: Each [1, key heads, prefix tokens, value dim].
    """

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Tokens of the prefix."""
        return self.keys[0].shape[2]


@dataclass(frozen=True, slots=True)
class Part:
    """Queries of the row, the keys that they attend to, and who sees whom; one call of attention.

    Attributes:
        queries: Where the queries stand in the row: a slice, or indices [batch, queries].
        keys: Likewise the keys; the prefix's keys come before them.
        mask: What is added to the scores, 0 or minus infinity, [batch, 1, queries, prefix + keys], in the model's dtype
            (torch would make it of booleans anew in each layer); None: causal, and no prefix.
        real: Which of the queries are not padding, [batch, queries]; None: all.
    """

    queries: slice | Tensor
    keys: slice | Tensor
    mask: Tensor | None
    real: Tensor | None = None


@dataclass(slots=True)
class Layout:
    """How the row of one forward pass is made up; every attention layer of that pass reads it.

    Attributes:
        parts: What to compute; together they hold each query of the row once.
        prefix: States of the prefix that all trees follow, or None.
        keep: Where to keep this row's own states (joined to the prefix's); None when nobody needs them.
        longest: Tokens of the longest sequence, counted with the prefix.
        call: Attention calls made so far in this pass.
    """

    parts: list[Part]
    prefix: States | None
    keep: States | None
    longest: int
    call: int = 0


def layout(
    trees: Sequence[TokenTree],
    *,
    prefix: States | None,
    device: torch.device,
    dtype: torch.dtype,
    keep: States | None = None,
) -> Layout:
    """Lay `trees` out one behind the other, for a model of this `dtype`."""
    parts = list(_one_by_one(trees, dtype) if device.type == "cpu" else _padded(trees, device, dtype))
    return Layout(parts, prefix, keep, longest=max(tree.longest for tree in trees))


def _split(tree: TokenTree) -> int:
    """How many first tokens of a tree take the kernel for causal attention, which skips half of the work."""
    return 0 if tree.depth else tree.trunk


def _mask(tree: TokenTree) -> Tensor:
    """Who attends to whom for the tokens behind the split, [tokens, prefix + tree]."""
    mask = torch.from_numpy(tree.ancestors()[_split(tree) :])
    return torch.cat([mask.new_ones(len(mask), tree.depth), mask], dim=1)


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)


def _one_by_one(trees: Sequence[TokenTree], dtype: torch.dtype) -> Iterator[Part]:
    start = 0
    for tree in trees:
        middle, stop = start + _split(tree), start + len(tree.tokens)
        if start < middle:
            yield Part(slice(start, middle), slice(start, middle), None)
        if middle < stop:
            yield Part(slice(middle, stop), slice(start, stop), _added(_mask(tree), dtype)[None, None])
        start = stop


def _padded(trees: Sequence[TokenTree], device: torch.device, dtype: torch.dtype) -> Iterator[Part]:
    sizes, splits = [len(tree.tokens) for tree in trees], [_split(tree) for tree in trees]
    starts = [0, *itertools.accumulate(sizes)][:-1]
    start, size, split = (torch.tensor(values, device=device)[:, None] for values in (starts, sizes, splits))

    def places(first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
        """Indices of `count` tokens from `first` on, padded with any of the row's; and which are not padding."""
        steps = torch.arange(int(count.max()), device=device)[None]
        return (first + steps).clamp(max=sum(sizes) - 1), steps < count

    if any(splits):
        trunk, real = places(start, split)
        yield Part(trunk, trunk, None, real)
    if splits == sizes:
        return
    queries, real = places(start + split, size - split)
    keys, _ = places(start, size)
    depth = trees[0].depth
    mask = torch.zeros(len(trees), 1, queries.shape[1], depth + keys.shape[1], dtype=torch.bool)
    mask[..., 0] = True  # padding attends to something, or its softmax would divide by 0
    for row, tree in enumerate(trees):
        own = _mask(tree)
        mask[row, 0, : own.shape[0], : own.shape[1]] = own
    yield Part(queries, keys, _added(mask.to(device), dtype), real)


def attend(
    module: nn.Module,  # noqa: ARG001 - transformers gives it, the row does not need it
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001 - the same
    *,
    scaling: float | None = None,
    packed: Layout | None = None,
    sliding_window: int | None = None,
    s_aux: Tensor | None = None,
    position_bias: Tensor | None = None,
    **_: object,
) -> tuple[Tensor, None]:
    """Attention as transformers calls it, over the row that `packed` describes.

    Args:
        module: The attention layer; not read.
        query: [1, heads, row, head dim].
        key: [1, key heads, row, head dim].
        value: [1, key heads, row, value dim].
        attention_mask: Always None, since transformers makes no mask for an implementation that it does not know.
        scaling: Factor of the scores before the softmax; None: 1 / sqrt(head dim).
        packed: The row's layout, handed through the model's forward.
        sliding_window: How far a token sees; packs hold only sequences that fit.
        s_aux: Attention sinks, which packs do not have.
        position_bias: Learned biases, which packs do not have.

    Returns:
        [1, row, heads, value dim], and None for the weights.

    Raises:
        CannotPackError: The layer needs what packs do not have.
    """
    if packed is None or s_aux is not None or position_bias is not None:
        raise CannotPackError("its attention takes more than queries, keys and values")
    if sliding_window is not None and packed.longest > sliding_window:
        raise CannotPackError(f"a sequence of {packed.longest} tokens; its attention sees {sliding_window}")
    prefix_key = prefix_value = None
    if packed.prefix is not None:
        prefix_key, prefix_value = packed.prefix.keys[packed.call], packed.prefix.values[packed.call]
    if packed.keep is not None:
        packed.keep.keys.append(_behind(prefix_key, key))
        packed.keep.values.append(_behind(prefix_value, value))
    packed.call += 1
    output = query.new_empty(query.shape[2], query.shape[1], value.shape[-1])
    joined_keys, joined_values = _Joined(prefix_key), _Joined(prefix_value)
    for part in packed.parts:
        keys, values = joined_keys(_at(key, part.keys)), joined_values(_at(value, part.keys))
        found = _sdpa(_at(query, part.queries), keys, values, part.mask, scaling).transpose(1, 2)
        if part.real is None:
            output[part.queries] = found[0]
        else:
            assert isinstance(part.queries, Tensor), "a slice has no padding"
            output[part.queries[part.real]] = found[part.real]
    return output[None], None


def _at(states: Tensor, places: slice | Tensor) -> Tensor:
    """[1, heads, row, dim] -> [batch, heads, places, dim]."""
    return states[:, :, places] if isinstance(places, slice) else states[0][:, places].transpose(0, 1)


def _behind(prefix: Tensor | None, own: Tensor) -> Tensor:
    return own if prefix is None else torch.cat([prefix.expand(len(own), -1, -1, -1), own], dim=2)


class _Joined:
    """Joins a prefix's states with those of one tree after the other, in a place where the prefix is copied to once.

    What it returns holds until the next call.
    """

    def __init__(self, prefix: Tensor | None) -> None:
        self._prefix = prefix
        self._place: Tensor | None = None

    def __call__(self, own: Tensor) -> Tensor:
        prefix, place = self._prefix, self._place
        if prefix is None:
            return own
        batch, heads, count, size = own.shape
        depth = prefix.shape[2]
        if place is None or batch != len(place) or depth + count > place.shape[2]:
            self._place = place = own.new_empty(batch, heads, depth + count, size)
            place[:, :, :depth] = prefix
        joined = place[:, :, : depth + count]
        joined[:, :, depth:] = own
        return joined


def _sdpa(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None) -> Tensor:
    """Attention with `mask`, or causal without; grouped-query heads as they come."""
    grouped = query.shape[1] // key.shape[1]
    if grouped > 1 and mask is not None and query.is_cuda:
        # With a mask and fewer key heads, CUDA has only the slow kernel.
        key, value = key.repeat_interleave(grouped, dim=1), value.repeat_interleave(grouped, dim=1)
        grouped = 1
    if mask is not None:
        mask = mask.to(query.dtype)  # some models attend in another precision than their own
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=grouped > 1
    )


AttentionInterface.register(NAME, attend)
