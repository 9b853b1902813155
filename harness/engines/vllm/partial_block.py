"""A context's last, unfilled cache block, for vLLM: what its prefix cache leaves out. Imported by vLLM's process alone.

vLLM's prefix cache holds full blocks only, so every continuation computes its context's last tokens again: 16 in the
mean on the CPU, whose attention takes no block under 32 tokens, and so about as many as a continuation has itself. A
`KVConnector`, vLLM's own door for keys and values from elsewhere, closes the gap: when a context was computed alone its
last block is copied aside, and before a continuation of it is computed that copy becomes its first block of its own.
Blocks are copied whole, because how keys lie inside one is the attention's affair; what lies behind the context's end
is overwritten as the continuation is computed.

A block is kept anew each time its context is computed, before any continuation of it is, so what an earlier call left
behind is never taken. Which tokens are a context is what the request says: `CONTEXT_TOKENS` in its ``extra_args``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from vllm.distributed.kv_transfer.kv_connector.v1.base import KVConnectorBase_V1, KVConnectorMetadata, SupportsHMA
from vllm.v1.kv_cache_interface import FullAttentionSpec

from harness.engines.vllm.queries import CONTEXT_TOKENS

if TYPE_CHECKING:
    import torch
    from vllm.v1.core.sched.output import SchedulerOutput
    from vllm.v1.request import Request

# At most this share of the cache's blocks is kept aside, in memory of their own; older ones make room.
SHARE_KEPT = 1 / 8

# What a block is kept for: a context, and the number of the adapter it was computed with, 0 without one.
Key = tuple[int, tuple[int, ...]]


@dataclass
class Copies(KVConnectorMetadata):  # type: ignore[misc]
    """What a step copies: pairs of a slot, where a block is kept, and the number of a block of the cache.

    Attributes:
        take: From a slot into a block, before the step is computed.
        keep: From a block into a slot, after it.
    """

    take: list[tuple[int, int]] = field(default_factory=list)
    keep: list[tuple[int, int]] = field(default_factory=list)


@dataclass
class _Scheduled:
    """A request that has something to keep or to take, and the blocks it has so far."""

    key: Key
    keeps: bool
    takes: bool = False
    blocks: list[int] = field(default_factory=list)

    def last_block(self, block_size: int) -> int:
        """The block in which the context ends."""
        return self.blocks[len(self.key[1]) // block_size]


class Tails(KVConnectorBase_V1, SupportsHMA):  # type: ignore[misc]
    """Keeps contexts' last blocks (see above). vLLM makes two: one for its scheduler, one where the cache is."""

    def __init__(self, vllm_config: Any, role: Any, kv_cache_config: Any) -> None:
        super().__init__(vllm_config, role, kv_cache_config)
        groups = kv_cache_config.kv_cache_groups
        self._blocks = int(kv_cache_config.num_blocks)
        # Anything else (windows, states of recurrent layers) has blocks that mean something else.
        usable = len(groups) == 1 and type(groups[0].kv_cache_spec) is FullAttentionSpec
        self._block_size = int(vllm_config.cache_config.block_size)
        self._slots = int(self._blocks * SHARE_KEPT) if usable else 0
        self._kept: dict[Key, int] = {}
        self._requests: dict[str, _Scheduled] = {}
        self._caches: list[torch.Tensor] = []
        self._aside: dict[int, list[torch.Tensor]] = {}

    # The scheduler's side.

    def get_num_new_matched_tokens(self, request: Request, num_computed_tokens: int) -> tuple[int, bool]:
        """How many tokens behind the `num_computed_tokens` that the prefix cache serves are kept aside."""
        key = self._key(request)
        if key is None:
            return 0, False
        alone = request.num_prompt_tokens == len(key[1])
        self._requests[request.request_id] = _Scheduled(key, keeps=alone)
        lacking = len(key[1]) - num_computed_tokens
        there = not alone and key in self._kept and 0 < lacking < self._block_size
        return (lacking if there else 0), False

    def update_state_after_alloc(self, request: Request, blocks: Any, num_external_tokens: int) -> None:  # noqa: ARG002
        """Take what was offered; which blocks the request has is read from the step."""
        if num_external_tokens > 0:
            self._requests[request.request_id].takes = True

    def build_connector_meta(self, scheduler_output: SchedulerOutput) -> Copies:
        """What is to be copied around this step."""
        step = list(self._step(scheduler_output))
        takers = [known for known, _ in step if known.takes]
        take = [(self._kept[known.key], known.last_block(self._block_size)) for known in takers]
        keepers = [known for known, computed in step if known.keeps and computed >= len(known.key[1])]
        # After the takers, since what is kept now may take the place of what they ask for.
        keep = [(self._slot(known.key), known.last_block(self._block_size)) for known in keepers]
        for known in takers:
            known.takes = False
        for known in keepers:
            known.keeps = False
        return Copies(take, keep)

    def _step(self, step: SchedulerOutput) -> Iterator[tuple[_Scheduled, int]]:
        """The step's requests that matter here, with how many of their tokens are computed after it."""
        told: dict[str, tuple[list[int], int]] = {}
        for new in step.scheduled_new_reqs:
            told[new.req_id] = new.block_ids[0], new.num_computed_tokens
        old = step.scheduled_cached_reqs
        for name, new_blocks, computed in zip(old.req_ids, old.new_block_ids, old.num_computed_tokens, strict=True):
            if name in self._requests:
                before = [] if name in old.resumed_req_ids else self._requests[name].blocks
                told[name] = before + (new_blocks[0] if new_blocks else []), computed
        for name, (blocks, computed) in told.items():
            if name in self._requests:
                self._requests[name].blocks = blocks
                yield self._requests[name], computed + step.num_scheduled_tokens[name]

    def request_finished(self, request: Request, block_ids: Any) -> tuple[bool, None]:  # noqa: ARG002
        """Forget a request; its blocks can go."""
        self._requests.pop(request.request_id, None)
        return False, None

    def request_finished_all_groups(self, request: Request, block_ids: Any) -> tuple[bool, None]:
        """The same for models that have several kinds of caches, in which nothing is kept."""
        return self.request_finished(request, block_ids)

    def _key(self, request: Request) -> Key | None:
        """The request's context, where it has one that ends inside of a block."""
        extra = (request.sampling_params and request.sampling_params.extra_args) or {}
        length = extra.get(CONTEXT_TOKENS, 0)
        if not self._slots or length % self._block_size == 0 or request.prompt_token_ids is None:
            return None
        adapter = request.lora_request.lora_int_id if request.lora_request else 0
        return adapter, tuple(request.prompt_token_ids[:length])

    def _slot(self, key: Key) -> int:
        """Where the context's block is kept from now on: the slot it had, a free one, or that of the oldest."""
        slot = self._kept.pop(key, None)
        if slot is None:
            full = len(self._kept) == self._slots
            slot = self._kept.pop(next(iter(self._kept))) if full else len(self._kept)
        self._kept[key] = slot
        return slot

    # The cache's side.

    def register_kv_caches(self, kv_caches: dict[str, torch.Tensor]) -> None:
        """Learn each layer's cache: ``[blocks, ...]``, in older versions ``[2, blocks, ...]``.

        Raises:
            ValueError: It is neither, so that no block could be found in it.
        """
        for cache in kv_caches.values():
            self._caches.append(cache.movedim(list(cache.shape[:2]).index(self._blocks), 0))

    def start_load_kv(self, forward_context: Any, **_: Any) -> None:  # noqa: ARG002
        """Copy what this step takes."""
        for slot, block in self._copies.take:
            for cache, tail in zip(self._caches, self._aside[slot], strict=True):
                cache[block].copy_(tail)

    def wait_for_save(self) -> None:
        """Copy what this step keeps."""
        for slot, block in self._copies.keep:
            self._aside[slot] = [cache[block].clone() for cache in self._caches]

    @property
    def _copies(self) -> Copies:
        copies = self._get_connector_metadata()
        assert isinstance(copies, Copies)
        return copies

    def wait_for_layer_load(self, layer_name: str) -> None:
        """Nothing: all layers are loaded before the first is computed."""

    def save_kv_layer(self, layer_name: str, kv_layer: torch.Tensor, attn_metadata: Any, **_: Any) -> None:
        """Nothing: a block is kept when all layers are computed."""
