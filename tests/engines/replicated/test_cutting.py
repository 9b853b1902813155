"""Each request is in one chunk, contexts stay whole, chunks get smaller, and shared prefixes are computed rarely."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.engines.base import Request
from harness.engines.replicated.cutting import SMALLEST, cut

TEXTS = st.text(alphabet="ab ", max_size=40).map(lambda text: text * 60)
REQUESTS = st.lists(
    st.one_of(
        st.builds(
            Request, kind=st.just("loglikelihood"), context=TEXTS, continuation=st.sampled_from(["x", "y" * 900])
        ),
        st.builds(Request, kind=st.just("loglikelihood_rolling"), context=st.just(""), continuation=TEXTS),
        st.builds(
            Request,
            kind=st.just("generate_until"),
            context=TEXTS,
            generation=st.sampled_from(["{}", '{"max_gen_toks": 7}', '{"max_gen_toks": "many"}', "[1]"]),
        ),
    ),
    max_size=60,
)


@given(requests=REQUESTS, replicas=st.integers(1, 40))
def test_every_request_is_in_one_chunk_and_contexts_stay_whole(requests: list[Request], replicas: int) -> None:
    chunks = cut(requests, replicas)
    assert sorted(index for chunk in chunks for index in chunk.indices) == list(range(len(requests)))
    place = {index: number for number, chunk in enumerate(chunks) for index in chunk.indices}
    homes: dict[tuple[str, str], set[int]] = {}
    for index, request in enumerate(requests):
        homes.setdefault((request.kind, request.context or request.continuation), set()).add(place[index])
    assert all(len(numbers) == 1 for numbers in homes.values())
    assert all(len({requests[index].kind for index in chunk.indices}) == 1 for chunk in chunks)
    assert [chunk.size for chunk in chunks] == sorted((chunk.size for chunk in chunks), reverse=True)


@given(requests=REQUESTS, seed=st.integers(0, 5))
def test_the_chunks_depend_only_on_the_set_of_requests(requests: list[Request], seed: int) -> None:
    distinct = list(dict.fromkeys(requests))
    shuffled = random.Random(seed).sample(distinct, len(distinct))
    one, two = ({frozenset(some[i] for i in chunk.indices) for chunk in cut(some)} for some in (distinct, shuffled))
    assert one == two
    assert {chunk.indices for chunk in cut(distinct, 1)} == {chunk.indices for chunk in cut(distinct, 16)}


def _items(count: int, prefix: str = "") -> list[Request]:
    return [
        Request(kind="loglikelihood", context=f"{prefix}{number:05} {'word ' * 60}", continuation=" yes" * (1 + choice))
        for number in range(count)
        for choice in range(4)
    ]


@pytest.mark.parametrize("replicas", [2, 8, 16, 64])
def test_equal_work_is_shared_evenly(replicas: int) -> None:
    loads = [0] * replicas
    for chunk in cut(_items(10_000), replicas):  # to the replica that is idle first
        loads[loads.index(min(loads))] += chunk.size
    assert max(loads) <= 1.04 * sum(loads) / replicas


def test_each_chunk_is_at_least_twice_as_long_as_its_shared_prefix() -> None:
    prefix = "example " * 1000
    requests = _items(1000, prefix)
    chunks = cut(requests, 16)
    own = sum(len(r.continuation) for r in requests) + sum(len(r.context) - len(prefix) for r in requests[::4])
    assert len(chunks) * len(prefix) <= 0.6 * own
    assert len(chunks) >= 10
    assert all(requests[i].context.startswith(prefix) for chunk in chunks for i in chunk.indices)


def test_few_requests_make_few_chunks() -> None:
    assert len(cut(_items(8))) == 1
    assert sum(chunk.size for chunk in cut(_items(8))) < SMALLEST
    assert cut([]) == []
