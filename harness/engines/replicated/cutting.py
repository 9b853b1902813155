"""Cut requests into chunks; a replica gets one chunk at a time. Pure: no processes, no model.

Requests with the same context stay together, and contexts with the same start are neighbours, so that a replica
computes the shared start once per chunk. Chunks get smaller, so that all replicas finish at about the same time:

    100 items of equal size, smallest chunk 2 items:   4 4 4 4 3 3 3 3 3 3 ... 2 2 2 2

The cuts depend only on the set of requests, not on the number of replicas (up to 16). So each chunk gives bit-identical
answers on machines of the same kind, whichever replica computes it.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from harness.engines.base import DEFAULT_NEW_TOKENS, Request

CHARACTERS_PER_TOKEN = 4
# Share of the remaining work that goes into the next chunk; with 16 replicas, each gets about two chunks of each size.
SHARE = 1 / 32
REPLICAS = 16
SMALLEST = 4096  # characters: about 1,000 tokens, with which a forward pass is efficient on a CPU
# Each chunk computes the shared start of its contexts again, so the rest must be at least this many times as long.
LEAST_PER_PREFIX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Requests that one replica answers in one call.

    Attributes:
        indices: Their places in the list of all requests.
        size: The text to compute, in characters; a start that contexts share counts once.
        deaths: How many replicas died while they had it.
        answered: Places in `indices` whose answers have arrived; if a model computes them again, they are dropped.
    """

    indices: tuple[int, ...]
    size: int
    deaths: int = 0
    answered: frozenset[int] = frozenset()

    def left(self, answered: Collection[int]) -> Chunk:
        """Return the requests whose answers have not arrived: neither `self.answered` nor these places."""
        known = self.answered.union(answered)
        left = tuple(index for place, index in enumerate(self.indices) if place not in known)
        return replace(self, indices=left, size=self.size * len(left) // len(self.indices), answered=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Requests with the same context."""

    kind: str
    context: str
    indices: list[int]
    rest: int  # characters besides the context: continuations, or the text to generate


def cut(requests: Sequence[Request], replicas: int = 1) -> list[Chunk]:
    """Return the chunks, largest first; each index is in exactly one of them.

    Args:
        requests: All requests.
        replicas: Number of replicas; more than 16 get smaller chunks.
    """
    groups = _groups(requests)
    share = SHARE * REPLICAS / max(REPLICAS, replicas)
    new = [_new_characters(before, group) for before, group in zip([None, *groups], groups, strict=False)]
    left = sum(new)
    chunks: list[Chunk] = []
    start = 0
    while start < len(groups):
        stop, size = _one(groups, new, start, max(SMALLEST, int(share * left)))
        indices = tuple(index for group in groups[start:stop] for index in group.indices)
        chunks.append(Chunk(indices=indices, size=size))
        left -= sum(new[start:stop])
        start = stop
    return sorted(chunks, key=lambda chunk: -chunk.size)


def _one(groups: Sequence[_Group], new: Sequence[int], start: int, wanted: int) -> tuple[int, int]:
    """Return where the chunk that begins with group `start` ends, and its size."""
    first = groups[start]
    # The first context is computed in full, even if it starts like the last one of the previous chunk.
    size, stop = len(first.context) + first.rest, start + 1
    while stop < len(groups) and groups[stop].kind == first.kind:
        shared = _common(first.context, groups[stop].context)
        if size >= max(wanted, (1 + LEAST_PER_PREFIX) * shared):
            break
        size += new[stop]
        stop += 1
    return stop, size


def _groups(requests: Sequence[Request]) -> list[_Group]:
    """Return the requests grouped by context, sorted by kind and context."""
    groups: dict[tuple[str, str], list[int]] = {}
    rest: dict[tuple[str, str], int] = {}
    for index, request in enumerate(requests):
        # A rolling request has no context: the whole continuation is computed.
        key = (request.kind, request.context or request.continuation)
        groups.setdefault(key, []).append(index)
        own = len(request.continuation) if request.context else 0
        rest[key] = rest.get(key, 0) + own + _generated(request.generation)
    return [_Group(kind=key[0], context=key[1], indices=groups[key], rest=rest[key]) for key in sorted(groups)]


def _new_characters(before: _Group | None, group: _Group) -> int:
    shared = 0 if before is None or before.kind != group.kind else _common(before.context, group.context)
    return len(group.context) - shared + group.rest


@functools.lru_cache(maxsize=1024)
def _generated(generation: str) -> int:
    """Return how many characters a request may generate; 0 for log-likelihoods."""
    if not generation:
        return 0
    try:
        tokens = int(json.loads(generation).get("max_gen_toks") or DEFAULT_NEW_TOKENS)
    except (TypeError, ValueError, AttributeError):  # the engine reports the error
        tokens = DEFAULT_NEW_TOKENS
    return CHARACTERS_PER_TOKEN * max(tokens, 0)


def _common(one: str, two: str) -> int:
    """Return the length of the common prefix of two texts, in characters."""
    low, high = 0, min(len(one), len(two))
    while low < high:  # slices are compared in C; a loop over characters would take seconds
        middle = (low + high + 1) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def singles(chunk: Chunk) -> Iterator[Chunk]:
    """Return one chunk per request of `chunk`, to find the request that kills replicas."""
    for index in chunk.indices:
        yield Chunk(indices=(index,), size=chunk.size // len(chunk.indices))
