"""Steps of one token on a CPU that neither join the cache anew nor repeat its key heads.

transformers copies all earlier keys and values twice in each step and layer: `DynamicLayer.update` joins old and new
states with `torch.cat`, and `sdpa` repeats each key head for the queries that share it. With 45 rows of 250 tokens that
is a few gigabytes per token, which takes longer than the model's products. Here a layer of the cache has room for the
tokens of the next stages, and the queries of a group are multiplied with their key head in one product.

In half precision, keys and values are multiplied in float32, which takes a seventh of the time of torch's kernel for a
single token and rounds only the result. Where all prompts begin with the same prefix (`shared_prefix`), the queries of
all rows are multiplied with its keys at once: with 11 rows of 950 tokens, of which 700 are the prefix, keys of 3,450
tokens are read instead of those of 10,450.

`fast_steps` puts the attention in the place of ``sdpa`` until its ``with`` statement ends. It is a run-time patch:
whatever it does not know, such as a bias or several tokens, goes to transformers' own function.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from harness.engines.hf.shared_prefix import SharedPrefix

Attention = Callable[..., tuple[Tensor, Tensor | None]]
PLAIN = frozenset({"dropout", "scaling", "is_causal", "position_ids", "use_cache", "cache_position", "sliding_window"})


class RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """A layer of a `DynamicCache` that writes new states behind the old ones, and moves them only when room runs out.

    ``keys`` and ``values`` are views of the memory: [rows, key heads, tokens, head dim].

    Args:
        layer: The layer whose states it takes over.
        room: Tokens that it makes room for at a time.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, layer: Any, room: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.dtype, self.device, self.is_initialized = layer.dtype, layer.device, layer.is_initialized
        self.keys, self.values = layer.keys, layer.values
        self._room = room
        self._memory: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Add the states of new tokens; returns those of all tokens."""
        start, end = self.keys.shape[2], self.keys.shape[2] + key_states.shape[2]
        if not self._fits(end):
            keys, values = self.keys, self.values
            self._make_memory(len(keys), end)
            self._write(keys, values, rows=slice(len(keys)), end=start)
        self._write(key_states, value_states, rows=slice(len(key_states)), end=end)
        return self._show(end)

    def replace(self, keys: Tensor, values: Tensor) -> None:
        """Take other states in place of its own."""
        self.keys, self.values, self._memory = keys, values, None

    def reorder_cache(self, beam_idx: Any) -> None:
        """Keep these rows."""
        super().reorder_cache(beam_idx)
        self._memory = None

    def join(self, other: RoomyLayer, tokens: int) -> None:
        """Add the rows of another layer; all rows get `tokens` tokens, with zeros on the left."""
        rows, mine, its = len(self.keys), (self.keys, self.values), (other.keys, other.values)
        self._make_memory(rows + len(other.keys), tokens)
        for states, place in ((mine, slice(rows)), (its, slice(rows, rows + len(other.keys)))):
            self._write(*states, rows=place, end=tokens, padded=True)
        self._show(tokens)

    def _fits(self, end: int) -> bool:
        """Whether the memory still holds the states, which transformers may have replaced, and has room."""
        if self._memory is None:
            return False
        keys = self._memory[0]
        return keys.data_ptr() == self.keys.data_ptr() and len(keys) == len(self.keys) and end <= keys.shape[2]

    def _make_memory(self, rows: int, tokens: int) -> None:
        heads, size = self.keys.shape[1], tokens + self._room
        self._memory = (
            self.keys.new_empty(rows, heads, size, self.keys.shape[3]),
            self.values.new_empty(rows, heads, size, self.values.shape[3]),
        )

    def _write(self, keys: Tensor, values: Tensor, *, rows: slice, end: int, padded: bool = False) -> None:
        """Write states that end before the token `end`; `padded` writes zeros to their left."""
        assert self._memory is not None
        for memory, states in zip(self._memory, (keys, values), strict=True):
            start = end - states.shape[2]
            memory[rows, :, start:end] = states
            if padded:
                memory[rows, :, :start] = 0

    def _show(self, end: int) -> tuple[Tensor, Tensor]:
        assert self._memory is not None
        keys, values = self._memory
        self.keys, self.values = keys[:, :, :end], values[:, :, :end]
        return self.keys, self.values


def roomy_layers(cache: DynamicCache | None) -> list[RoomyLayer]:
    """Return a cache's layers if all are roomy; otherwise none."""
    layers = [] if cache is None else [layer for layer in cache.layers if isinstance(layer, RoomyLayer)]
    return layers if cache is not None and len(layers) == len(cache.layers) else []


def join_caches(one: DynamicCache, other: DynamicCache, tokens: int) -> None:
    """Add the rows of `other` to `one`; all rows get `tokens` tokens, with zeros on the left. All layers are roomy."""
    for layer, more in zip(roomy_layers(one), roomy_layers(other), strict=True):
        layer.join(more, tokens)


def make_room(cache: DynamicCache, room: int) -> None:
    """Let each plain layer of a cache on a CPU have room for this many tokens at a time."""
    cache.layers = [
        RoomyLayer(layer, room) if type(layer) is DynamicLayer and _is_plain(layer) else layer for layer in cache.layers
    ]


def _is_plain(layer: Any) -> bool:
    return (
        bool(layer.is_initialized) and layer.keys.device.type == "cpu" and layer.keys.dim() == layer.values.dim() == 4
    )


class _Patch:
    """transformers' ``sdpa``, replaced from the first `begin` until the last `end`, in any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: Attention | None = None

    def begin(self) -> None:
        with self._lock:
            if self._users == 0:
                self._before = ALL_ATTENTION_FUNCTIONS._local_mapping.get("sdpa")  # noqa: SLF001
                ALL_ATTENTION_FUNCTIONS["sdpa"] = _fast_sdpa(ALL_ATTENTION_FUNCTIONS["sdpa"])
            self._users += 1

    def end(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._before is None:
                ALL_ATTENTION_FUNCTIONS._local_mapping.pop("sdpa")  # noqa: SLF001 - the global entry is used again
            elif self._users == 0:
                ALL_ATTENTION_FUNCTIONS["sdpa"] = self._before


_patch = _Patch()


@dataclass(kw_only=True, eq=False)
class PaddedPrefix:
    """The prefix that all rows of a batch begin with, behind their padding.

    Attributes:
        prefix: The prefix.
        padding: Tokens of padding, [rows].
    """

    prefix: SharedPrefix
    padding: Tensor
    _mask: Tensor | None = field(default=None, init=False)
    _fits: bool = field(default=False, init=False)

    def is_mask_of_padding(self, mask: Tensor | None) -> bool:
        """Whether a mask hides the padding and nothing else; a window of attention, for example, hides more.

        Args:
            mask: [rows or 1, 1, 1, tokens]; None hides nothing. Layers of a kind get the same object in a pass.
        """
        if mask is None:
            return not self.padding.any()
        if mask is not self._mask:
            rows = {1, len(self.padding)}
            is_of_tokens = mask.dtype == torch.bool and mask.shape[1:-1] == (1, 1) and len(mask) in rows
            self._mask = mask
            self._fits = is_of_tokens and bool(((~mask).sum(dim=(1, 2, 3)) == self.padding).all())
        return self._fits


_prefix: ContextVar[PaddedPrefix | None] = ContextVar("_prefix", default=None)


@contextmanager
def fast_steps(device: torch.device, prefix: PaddedPrefix | None = None) -> Iterator[None]:
    """Use the attention of this file, on a CPU, in place of transformers' ``sdpa`` until the ``with`` statement ends.

    These statements may be nested, and those of several threads may overlap.

    Args:
        device: Where the model is.
        prefix: The prefix that all rows share, if it is computed already.
    """
    if device.type != "cpu":
        yield
        return
    before = _prefix.set(prefix)
    _patch.begin()
    try:
        yield
    finally:
        _patch.end()
        _prefix.reset(before)


def _fast_sdpa(own: Attention) -> Attention:
    """Return a function that computes the attention of a step, and calls `own` for anything else."""

    def sdpa(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **more: Any
    ) -> tuple[Tensor, Tensor | None]:
        prefix = _states_of_prefix(module, key, attention_mask, more)
        grouped = key.dim() == 4 and query.shape[1] > key.shape[1]
        if not (_is_step(query, more) and (grouped or prefix) and _is_for_all_heads(attention_mask)):
            return own(module, query, key, value, attention_mask, **more)
        rows, heads, _, size = query.shape
        factor = size**-0.5 if more.get("scaling") is None else more["scaling"]
        queries = (query.float() * factor).reshape(rows, key.shape[1], -1, size)
        if prefix is None:
            attended = attend_to_all(queries, key, value, attention_mask)
        else:
            attended = attend_with_prefix(queries, key, value, attention_mask, prefix)
        return attended.reshape(rows, 1, heads, -1).to(query.dtype), None

    return sdpa


def _is_step(query: Tensor, more: dict[str, Any]) -> bool:
    known = all(name in PLAIN or value is None or value is False for name, value in more.items())
    return (
        known
        and query.shape[2] == 1
        and query.dtype in (torch.float32, torch.bfloat16, torch.float16)
        and query.device.type == "cpu"
        and not more.get("dropout")
    )


def _is_for_all_heads(mask: Tensor | None) -> bool:
    return mask is None or (mask.dim() == 4 and mask.shape[1] == 1)


def _states_of_prefix(
    module: nn.Module, key: Tensor, mask: Tensor | None, more: dict[str, Any]
) -> tuple[Tensor, Tensor] | None:
    """The layer's keys and values of the prefix, if there is one and the mask hides nothing but padding."""
    padded, layer = _prefix.get(), getattr(module, "layer_idx", None)
    if padded is None or not isinstance(layer, int) or more.get("sliding_window") is not None:
        return None
    if not padded.is_mask_of_padding(mask):
        return None
    states = padded.prefix.states(layer)
    return None if states is None or states[0].shape[1] >= key.shape[2] else states


def attend_to_all(queries: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Attention of one token per row to all tokens that the mask allows.

    Args:
        queries: Scaled, float32, [rows, key heads, group, head dim]; the heads of a group share a key head.
        key: [rows, key heads, tokens, head dim], in any precision.
        value: [rows, key heads, tokens, value dim].
        mask: [rows or 1, 1, 1, tokens]: True where attention is allowed, or numbers to add to the scores.

    Returns:
        Float32, [rows, key heads, group, value dim].
    """
    scores = queries @ key.float().transpose(2, 3)
    if mask is not None and mask.dtype == torch.bool:
        scores.masked_fill_(~mask, -torch.inf)
    elif mask is not None:
        scores += mask
    return scores.softmax(dim=-1) @ value.float()


def attend_with_prefix(
    queries: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, prefix: tuple[Tensor, Tensor]
) -> Tensor:
    """Attention of one token per row where all rows begin with the same prefix, behind their padding.

    The shared prefix of p tokens is read once for all rows. A row's own columns are its columns from p on. If the row
    has n tokens of padding, the first n of these still hold padding or prefix; they are hidden, because the prefix is
    counted already. The row's mask also begins with n hidden columns, so its first columns serve as the mask of the own
    columns (`.` is padding, P the prefix, p is 2):

        row 0    P P a b c d     mask 1 1 1 1 1 1     own columns a b c d,  their mask 1 1 1 1
        row 1    . P P e f g     mask 0 1 1 1 1 1     own columns P e f g,  their mask 0 1 1 1

    Args:
        queries: As in `attend_to_all`, which gives the same result.
        key: Likewise.
        value: Likewise.
        mask: [rows or 1, 1, 1, tokens]: False where a row is padded; None if no row is.
        prefix: Its keys and values, [key heads, prefix, head dim] and [key heads, prefix, value dim].

    Returns:
        Float32, [rows, key heads, group, value dim].
    """
    rows, heads, group, _ = queries.shape
    before_key, before_value = (states.float() for states in prefix)
    size = before_key.shape[1]
    own = queries @ key[:, :, size:].float().transpose(2, 3)
    if mask is not None:
        own.masked_fill_(~mask[..., : own.shape[-1]], -torch.inf)
    shared = queries.transpose(0, 1).flatten(1, 2) @ before_key.transpose(1, 2)
    shared = shared.view(heads, rows, group, size).transpose(0, 1)
    weights = torch.cat([shared, own], dim=-1).softmax(dim=-1)
    of_prefix = weights[..., :size].transpose(0, 1).flatten(1, 2) @ before_value
    of_own = weights[..., size:] @ value[:, :, size:].float()
    return of_prefix.view(heads, rows, group, -1).transpose(0, 1) + of_own
