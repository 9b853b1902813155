"""Cut requests into deals: what one replica gets at a time. Pure: no processes, no model.

Requests with the same context stay together, and contexts with a common beginning are neighbours, so that a replica
computes what they share once per deal. The sizes fall, so that all replicas finish at about the same time:

    100 items of equal size, smallest deal 2 items:   4 4 4 4 3 3 3 3 3 3 ... 2 2 2 2

The cuts depend only on the set of requests, not on the number of replicas (up to 16). The same deals are then computed
whoever computes them, so that the answers are the same to the last bit on machines of the same kind.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.engines.base import DEFAULT_NEW_TOKENS, Request

CHARACTERS_PER_TOKEN = 4
# A deal takes this share of what is left, so that 16 replicas get two of each size.
SHARE = 1 / 32
REPLICAS = 16
SMALLEST = 4096  # characters: about 1,000 tokens, with which a forward pass is efficient on a CPU
# A deal is at least this many times as large as the beginning that its contexts share, which each deal computes anew.
LEAST_PER_PREFIX = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """Requests that one replica answers in one call.

    Attributes:
        indices: Their places in the list of all requests.
        size: How much there is to compute, in characters; a beginning that contexts share counts once.
        deaths: How many replicas died while they had it.
    """

    indices: tuple[int, ...]
    size: int
    deaths: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Group:
    """Requests with the same context."""

    kind: str
    context: str
    indices: list[int]
    rest: int  # characters besides the context: continuations, or the text to generate


def cut(requests: Sequence[Request], replicas: int = 1) -> list[Deal]:
    """Return the deals, largest first; each index is in exactly one of them.

    Args:
        requests: All requests.
        replicas: Number of replicas; more than 16 get smaller deals.
    """
    groups = _groups(requests)
    share = SHARE * REPLICAS / max(REPLICAS, replicas)
    new = [_new_characters(before, group) for before, group in zip([None, *groups], groups, strict=False)]
    left = sum(new)
    deals: list[Deal] = []
    start = 0
    while start < len(groups):
        stop, size = _one(groups, new, start, max(SMALLEST, int(share * left)))
        indices = tuple(index for group in groups[start:stop] for index in group.indices)
        deals.append(Deal(indices=indices, size=size))
        left -= sum(new[start:stop])
        start = stop
    return sorted(deals, key=lambda deal: -deal.size)


def _one(groups: Sequence[_Group], new: Sequence[int], start: int, wanted: int) -> tuple[int, int]:
    """Return where the deal that begins with group `start` ends, and its size."""
    first = groups[start]
    # The first context is computed whole, whatever it has in common with the deal before.
    size, stop = len(first.context) + first.rest, start + 1
    while stop < len(groups) and groups[stop].kind == first.kind:
        shared = _common(first.context, groups[stop].context)
        if size >= max(wanted, (1 + LEAST_PER_PREFIX) * shared):
            break
        size += new[stop]
        stop += 1
    return stop, size


def _groups(requests: Sequence[Request]) -> list[_Group]:
    """Return the requests by context, in the order of kinds and contexts."""
    groups: dict[tuple[str, str], list[int]] = {}
    rest: dict[tuple[str, str], int] = {}
    for index, request in enumerate(requests):
        # A rolling request has no context: its text is what is computed.
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
    except (TypeError, ValueError, AttributeError):  # the engine says what is wrong with it
        tokens = DEFAULT_NEW_TOKENS
    return CHARACTERS_PER_TOKEN * max(tokens, 0)


def _common(one: str, two: str) -> int:
    """Return how many characters two texts have in common at their beginning."""
    low, high = 0, min(len(one), len(two))
    while low < high:  # slices are compared in C; a loop over characters would take seconds
        middle = (low + high + 1) // 2
        if one[low:middle] == two[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def singles(deal: Deal) -> Iterator[Deal]:
    """Return a deal for each request of `deal`, to find the one that kills replicas."""
    for index in deal.indices:
        yield Deal(indices=(index,), size=deal.size // len(deal.indices))
