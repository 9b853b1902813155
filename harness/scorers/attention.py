"""Attention over a pack: one row of tokens, of which each attends to its own ancestors alone.

Registered with transformers under a name of its own, so that every architecture which calls attention through the
`AttentionInterface` can run packs without a change to its code. Which tokens go into a pack is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface

from harness.scorers.prefix import Unit

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
class Block:
    """A unit's place in the row.

    Attributes:
        start: Index in the row of its first token.
        stop: Index in the row behind its last token.
        causal: Its first tokens that attend to all before them in the unit, computed without a mask.
        mask: Who attends to whom for the other tokens, [stop - start - causal, prefix + stop - start], True to attend.
    """

    start: int
    stop: int
    causal: int
    mask: Tensor


@dataclass(slots=True)
class Layout:
    """How the row of one forward pass is made up; every attention layer of that pass reads it.

    Attributes:
        blocks: The units, in the row's order.
        prefix: States of the prefix that all of them follow, or None.
        keep: Where to keep this row's own states (joined to the prefix's); None when nobody needs them.
        longest: Tokens of the longest sequence, counted with the prefix.
        call: Attention calls made so far in this pass.
    """

    blocks: list[Block]
    prefix: States | None
    keep: States | None
    longest: int
    call: int = 0


def layout(units: Sequence[Unit], *, prefix: States | None, device: torch.device, keep: States | None = None) -> Layout:
    """Lay `units` out one behind the other."""
    blocks, start = [], 0
    for unit in units:
        size = len(unit.tokens)
        # Without a prefix the trunk takes the kernel for causal attention, which skips half of the work.
        causal = 0 if unit.depth else unit.trunk
        mask = torch.from_numpy(unit.ancestors()[causal:])
        mask = torch.cat([mask.new_ones(size - causal, unit.depth), mask], dim=1).to(device)
        blocks.append(Block(start, start + size, causal, mask))
        start += size
    return Layout(blocks, prefix, keep, longest=max(unit.longest for unit in units))


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
        packed.keep.keys.append(_joined(prefix_key, key))
        packed.keep.values.append(_joined(prefix_value, value))
    packed.call += 1
    output = query.new_empty(1, query.shape[2], query.shape[1], value.shape[-1])
    for block in packed.blocks:
        own = slice(block.start, block.stop)
        keys, values = _joined(prefix_key, key[:, :, own]), _joined(prefix_value, value[:, :, own])
        middle = block.start + block.causal
        if block.causal:
            trunk = slice(None, block.causal)
            found = _sdpa(query[:, :, block.start : middle], keys[:, :, trunk], values[:, :, trunk], None, scaling)
            output[:, block.start : middle] = found.transpose(1, 2)
        if middle < block.stop:
            found = _sdpa(query[:, :, middle : block.stop], keys, values, block.mask, scaling)
            output[:, middle : block.stop] = found.transpose(1, 2)
    return output, None


def _joined(prefix: Tensor | None, own: Tensor) -> Tensor:
    return own if prefix is None else torch.cat([prefix, own], dim=2)


def _sdpa(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, scaling: float | None) -> Tensor:
    """Attention with `mask`, or causal without; grouped-query heads as they come."""
    grouped = query.shape[1] != key.shape[1]
    return scaled_dot_product_attention(
        query, key, value, attn_mask=mask, is_causal=mask is None, scale=scaling, enable_gqa=grouped
    )


AttentionInterface.register(NAME, attend)
