"""Attention over a pack: one row of tokens, in which each token attends only to its own ancestors.

Two trees in one row, without padding (see `prefix_tree`; tree 0 has a fork after its second token):

    row        5 6 7 8 9 | 3 4 2
    positions  0 1 2 3 2 | 0 1 2

To the dense layers this is one sequence of 8 tokens. To attention it is not: 9 attends to 5 6 9, and 3 to itself alone.
The obvious way, one mask for the whole row, would compute all 64 pairs of queries and keys to use 19 of them, and the
share gets worse with every tree. So attention takes the row apart into `Part`s: on a CPU one tree after the other, on a
GPU all trees padded to one batch, since there a call costs more than its padding.

The function is registered with transformers under a name of its own, so that every architecture that calls attention
through the `AttentionInterface` can run packs without a change to its code. `prefix_tree` decides what is in a pack.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from harness.engines.hf.blocked_attention import attend_in_blocks, blocks_are_faster
from harness.engines.hf.prefix_tree import TokenTree

NAME = "harness_packed"


class CannotPackError(Exception):
    """An architecture, or this pack, needs a kind of attention that is not implemented here; use rows instead."""


@dataclass(slots=True)
class States:
    """Keys and values of a prefix, one pair for each attention layer, in the order in which they are called.

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
    """One call of attention: some queries of the row, the keys they may attend to, and the mask between them.

    Attributes:
        queries: Places of the queries in the row: a slice, or indices [batch, queries].
        keys: Places of the keys in the row, likewise; the prefix's keys come before them.
        mask: Added to the attention scores: 0 or minus infinity, [batch, 1, queries, prefix + keys], in the model's
            dtype (from booleans torch would make this anew in each layer); None means causal, without a prefix.
        real: The queries that are not padding, as three tensors of indices, [real queries]: entry of the batch, query
            in it, place in the row; None means all. With a boolean mask the host would wait for the GPU in each layer.
    """

    queries: slice | Tensor
    keys: slice | Tensor
    mask: Tensor | None
    real: tuple[Tensor, Tensor, Tensor] | None = None


@dataclass(slots=True)
class Layout:
    """How the row of one forward pass is made up. Every attention layer of the pass reads it.

    Attributes:
        parts: What to compute; together they hold each query of the row once.
        prefix: States of the prefix that all trees follow, or None.
        keep: Receives this row's own states, joined to the prefix's; None when they are not needed.
        longest: Tokens of the longest sequence, counted with the prefix.
        call: Attention calls made so far in this pass, which is the index of the next layer in `prefix` and `keep`.
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
    """Lay `trees` out one after the other, for a model of this `dtype`."""
    parts = list(_one_by_one(trees, dtype) if device.type == "cpu" else _padded(trees, device, dtype))
    return Layout(parts, prefix, keep, longest=max(tree.longest for tree in trees))


def _split(tree: TokenTree) -> int:
    """How many tokens at the start of a tree take the kernel for causal attention, which skips half of the work."""
    # Behind a prefix there are none: torch aligns its causal mask at the first key, so the first query would see only
    # the first token of the prefix.
    return 0 if tree.depth else tree.trunk


def _mask(tree: TokenTree) -> Tensor:
    """Which tokens those after the split attend to, [tokens, prefix + tree]."""
    # For the tree 5 6 (7 8 | 9) behind a prefix of two tokens, where nothing is split off (1: attends):
    #        prefix  5 6 7 8 9
    #     5    1 1   1 0 0 0 0
    #     8    1 1   1 1 1 1 0
    #     9    1 1   1 1 0 0 1
    # Without a prefix, 5 and 6 take the causal kernel and the mask has only the rows of 7, 8 and 9.
    mask = torch.from_numpy(tree.ancestors()[_split(tree) :])
    return torch.cat([mask.new_ones(len(mask), tree.depth), mask], dim=1)


def _added(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """The mask as numbers to add to the scores: 0 where it is True, minus infinity elsewhere."""
    return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill_(~mask, -torch.inf)


def _one_by_one(trees: Sequence[TokenTree], dtype: torch.dtype) -> Iterator[Part]:
    """The parts on a CPU: each tree's trunk, causal, then its other tokens, masked."""
    # In the example of the module:
    #     queries 0:2, keys 0:2, causal | queries 2:5, keys 0:5, masked | queries 5:8, keys 5:8, causal
    start = 0
    for tree in trees:
        middle, stop = start + _split(tree), start + len(tree.tokens)
        if start < middle:
            yield Part(slice(start, middle), slice(start, middle), None)
        if middle < stop:
            yield Part(slice(middle, stop), slice(start, stop), _added(_mask(tree), dtype)[None, None])
        start = stop


def _padded(trees: Sequence[TokenTree], device: torch.device, dtype: torch.dtype) -> Iterator[Part]:
    """The parts on a GPU: all trunks as one causal batch, then all other tokens as one masked batch."""
    # In the example of the module the trunks have 2 and 3 tokens, so the first batch has these places of the row (x:
    # padding, which may be any place, since its result is dropped)
    #     queries = keys  [[0, 1, x], [5, 6, 7]]      real  batch 0 0 1 1 1, query 0 1 0 1 2, place 0 1 5 6 7
    # and the second has the queries after the split against all tokens of their trees:
    #     queries  [[2, 3, 4], [x, x, x]]             keys  [[0, 1, 2, 3, 4], [5, 6, 7, x, x]]
    # All tensors are made on the host and copied to the GPU, which may still be computing another pack.
    sizes, splits = [len(tree.tokens) for tree in trees], [_split(tree) for tree in trees]
    starts = [0, *itertools.accumulate(sizes)][:-1]
    start, size, split = (torch.tensor(values)[:, None] for values in (starts, sizes, splits))

    def places(first: Tensor, count: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        """Places of `count` tokens from `first` on, padded with any places of the row; and which are not padding."""
        steps = torch.arange(int(count.max()))[None]
        padded = (first + steps).clamp(max=sum(sizes) - 1)
        batch, query = (steps < count).nonzero(as_tuple=True)
        real = (to_device(batch, device), to_device(query, device), to_device(padded[batch, query], device))
        return to_device(padded, device), real

    if any(splits):
        trunk, real = places(start, split)
        yield Part(trunk, trunk, None, real)
    if splits == sizes:
        return
    queries, real = places(start + split, size - split)
    keys, _ = places(start, size)
    depth = trees[0].depth
    mask = torch.zeros(len(trees), 1, queries.shape[1], depth + keys.shape[1], dtype=torch.bool)
    # Padding attends to the first key: without any, its softmax would divide by 0. Its result is dropped.
    mask[..., 0] = True
    for row, tree in enumerate(trees):
        own = _mask(tree)
        mask[row, 0, : own.shape[0], : own.shape[1]] = own
    yield Part(queries, keys, _added(to_device(mask, device), dtype), real)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor from the host; a copy to a GPU does not wait for the GPU's current work."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def attend(
    module: nn.Module,  # noqa: ARG001 - transformers' signature
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,  # noqa: ARG001 - transformers' signature
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
        scaling: Factor of the scores before the softmax; None means 1 / sqrt(head dim).
        packed: The row's layout, which reaches this function through the model's forward.
        sliding_window: How many tokens back a token attends; packs hold only sequences that fit into it.
        s_aux: Attention sinks, which are not implemented here.
        position_bias: Learned biases, which are not implemented here.

    Returns:
        [1, row, heads, value dim], and None for the weights.

    Raises:
        CannotPackError: The layer needs what is not implemented here.
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
    # Each part fills the places of its own queries; no place is left out, so the memory need not be cleared.
    output = query.new_empty(query.shape[2], query.shape[1], value.shape[-1])
    joined_keys, joined_values = _Joined(prefix_key), _Joined(prefix_value)
    for part in packed.parts:
        keys, values = joined_keys(_at(key, part.keys)), joined_values(_at(value, part.keys))
        attended_BQHD = _sdpa(_at(query, part.queries), keys, values, part.mask, scaling).transpose(1, 2)
        if part.real is None:
            output[part.queries] = attended_BQHD[0]
        else:
            batch, queries, places = part.real
            output[places] = attended_BQHD[batch, queries]
    return output[None], None


def _at(states: Tensor, places: slice | Tensor) -> Tensor:
    """[1, heads, row, dim] -> [batch, heads, places, dim]."""
    return states[:, :, places] if isinstance(places, slice) else states[0][:, places].transpose(0, 1)


def _behind(prefix: Tensor | None, own: Tensor) -> Tensor:
    return own if prefix is None else torch.cat([prefix.expand(len(own), -1, -1, -1), own], dim=2)


class _Joined:
    """Joins a prefix's states with those of one tree after another; a result is valid until the next call."""

    # For prefix states P and trees A, B the same memory holds P A, then P B: a tree's states overwrite those of the one
    # before it. torch.cat would copy P for each tree, and P is usually the longest part.

    def __init__(self, prefix: Tensor | None) -> None:
        self._prefix = prefix
        self._memory: Tensor | None = None

    def __call__(self, own: Tensor) -> Tensor:
        prefix, memory = self._prefix, self._memory
        if prefix is None:
            return own
        batch, heads, count, size = own.shape
        depth = prefix.shape[2]
        if memory is None or batch != len(memory) or depth + count > memory.shape[2]:
            self._memory = memory = own.new_empty(batch, heads, depth + count, size)
            memory[:, :, :depth] = prefix
        joined = memory[:, :, : depth + count]
        joined[:, :, depth:] = own
        return joined


def _sdpa(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None) -> Tensor:
    """Attention with `mask`, or causal if it is None. Several query heads may share a key head (grouped-query)."""
    grouped = query.shape[1] // key.shape[1]
    if grouped > 1 and _needs_whole_heads(query, mask):
        key, value = key.repeat_interleave(grouped, dim=1), value.repeat_interleave(grouped, dim=1)
        grouped = 1
    if mask is not None:
        mask = mask.to(query.dtype)  # some models compute attention in another precision than the rest
    if blocks_are_faster(query, key):
        return attend_in_blocks(query, key, value, mask, scaling)
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=grouped > 1
    )


def _needs_whole_heads(query: Tensor, mask: Tensor | None) -> bool:
    """Whether each key head must be repeated for its queries: CUDA has few fast kernels for groups."""
    # FlashAttention supports groups, but no mask and no float32. The memory-efficient kernel supports both, but no
    # groups.
    return query.is_cuda and (mask is not None or query.dtype == torch.float32)


AttentionInterface.register(NAME, attend)
