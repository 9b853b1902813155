"""Chunks of token pairs do not depend on the order of the requests, and are encoded ahead of their use."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from multiprocessing import Pipe

import pytest

from harness.engines.base import Failure, Request
from harness.engines.tokens import Encoder, Span
from harness.engines.vllm import encoding
from harness.engines.vllm.encoding import Chunk, chunks
from harness.engines.vllm.worker import _messages
from tests.models import tiny_tokenizer
from tests.waiting import CEILING_SECONDS


def requests() -> list[Request]:
    """Five choices behind each of twelve contexts, choices without a context, and rolling texts."""
    choices = [
        Request(kind="loglikelihood", context=context, continuation=f" {end}")
        for context in [*(f"the cat {n}" for n in range(12)), ""]
        for end in ("red", "dog ran", "why", "who knows", "the mat")
    ]
    rolling = [
        Request(kind="loglikelihood_rolling", context="", continuation="a cat sat " * count) for count in range(1, 9)
    ]
    return [*choices, *rolling]


def encoder() -> Encoder:
    return Encoder(tiny_tokenizer(), max_length=64)


def members(chunk: Chunk) -> set[Request]:
    return {request for own in chunk.pairs.values() for request in own} | set(chunk.failures)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "FIRST_CHUNK", 4)
    monkeypatch.setattr(encoding, "LARGEST_CHUNK", 16)


def test_chunks_hold_each_request_once_and_whole_contexts() -> None:
    made = [members(chunk) for chunk in chunks(encoder(), requests())]
    assert len(made) > 3
    assert sum(map(len, made)) == len(requests())
    assert set().union(*made) == set(requests())
    for context in {request.context for request in requests()} - {""}:
        assert sum(any(request.context == context for request in own) for own in made) == 1


def test_the_order_of_requests_does_not_matter() -> None:
    shuffled = random.Random(0).sample(requests(), len(requests()))
    one, other = ([list(chunk.pairs) for chunk in chunks(encoder(), given)] for given in (requests(), shuffled))
    assert one == other


def test_a_continuation_that_cannot_be_encoded_fails_alone() -> None:
    bad = Request(kind="loglikelihood", context="a", continuation=" cat" * 200)
    failures = {
        request: why for chunk in chunks(encoder(), [*requests(), bad]) for request, why in chunk.failures.items()
    }
    assert list(failures) == [bad]
    assert failures[bad].reason == "too_long"


def test_a_chunk_is_encoded_while_the_one_before_it_is_used() -> None:
    second = threading.Event()

    class Watched(Encoder):
        encoded = 0

        def spans(self, requests: Sequence[Request]) -> list[list[Span] | Failure]:
            spans = super().spans(requests)
            self.encoded += 1
            if self.encoded == 2:
                second.set()
            return spans

    made = chunks(Watched(tiny_tokenizer(), max_length=64), requests())
    next(made)
    assert second.wait(CEILING_SECONDS), "the second chunk must be encoded before it is requested"
    assert list(made)


def test_a_worker_reads_messages_while_it_is_busy() -> None:
    ours, theirs = Pipe()
    messages = _messages(theirs)
    large = "x" * 4_000_000  # more than the pipe holds
    ours.send(("score", ()))
    assert next(messages)[0] == "score"
    sender = threading.Thread(target=ours.send, args=(("generate", (large,)),), daemon=True)
    sender.start()
    sender.join(CEILING_SECONDS)
    assert not sender.is_alive(), "the message must be read before it is requested"
    assert next(messages)[0] == "generate"
    ours.close()
    assert list(messages) == []
