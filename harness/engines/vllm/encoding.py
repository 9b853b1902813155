"""Encodes log-likelihood requests as token pairs: a thread encodes one chunk while vLLM scores the previous one.

Encoding takes about 0.8 ms per request, as long as a GPU takes to score it, so the GPU must not wait until all are
encoded. A chunk has all requests of its contexts, and the texts of the chunks are sorted, so that contexts with a
common beginning are scored one after the other and vLLM's cache serves it:

    requests  "ab" + "x", "b" + "x", "aa" + "y", "ab" + "z"
    chunks    ["aa" + "y", "ab" + "x", "ab" + "z"], ["b" + "x"]
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

from harness.engines.base import Answer, Batch, Failure, Request, Scored, joined_answer
from harness.engines.tokens import Encoder, Span
from harness.engines.vllm.generation import Refused
from harness.engines.vllm.queries import Group

Item = TypeVar("Item")

# A context and its continuation, as token ids.
Pair = tuple[tuple[int, ...], tuple[int, ...]]

# Requests of the first chunk; each later one has twice as many, up to the largest. So the engine starts early, and
# later chunks hold most requests with a common prefix together.
FIRST_CHUNK, LARGEST_CHUNK = 512, 8192


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    """A log-likelihood request as tokens.

    Attributes:
        pairs: One pair, or one per window of a rolling request.
        cut: Number of tokens that were cut.
        apart: Whether the continuation was encoded without its context.
    """

    pairs: list[Pair]
    cut: int
    apart: bool


@dataclass(slots=True)
class Chunk:
    """Encoded requests that wait for the scores of their pairs.

    Attributes:
        failures: By request, for those that cannot be encoded.
        pairs: Distinct pairs, each with the requests that need it.
    """

    failures: dict[Request, Failure] = field(default_factory=dict)
    pairs: dict[Pair, list[Request]] = field(default_factory=dict)
    _encoded: dict[Request, _Encoded] = field(default_factory=dict)
    _waiting: dict[Request, int] = field(default_factory=dict)
    _scores: dict[Pair, Scored | Refused] = field(default_factory=dict)

    def add(self, request: Request, encoded: _Encoded) -> None:
        """Add a request."""
        distinct = set(encoded.pairs)
        self._encoded[request], self._waiting[request] = encoded, len(distinct)
        for pair in distinct:
            self.pairs.setdefault(pair, []).append(request)

    def take(
        self, groups: Sequence[Group], scores: Sequence[Sequence[Scored | Refused]]
    ) -> dict[Request, Answer | Failure]:
        """Add the scores of `groups`; returns the answers to the requests that now have all their scores."""
        pairs = [(group.context, continuation) for group in groups for continuation in group.continuations]
        self._scores.update(zip(pairs, (score for own in scores for score in own), strict=True))
        answers: dict[Request, Answer | Failure] = {}
        for request in (request for pair in pairs for request in self.pairs[pair]):
            self._waiting[request] -= 1
            if not self._waiting[request]:
                answers[request] = _answer(request, self._encoded[request], self._scores)
        return answers


def chunks(encoder: Encoder, requests: Sequence[Request]) -> Iterator[Chunk]:
    """Encode distinct `requests` in chunks that do not depend on their order."""
    return _ahead(_chunk(encoder, part) for part in _parts(requests))


def _parts(requests: Sequence[Request]) -> Iterator[list[Request]]:
    """Sort and split `requests`; those with the same context stay together, unless it is empty, as in rolling ones."""
    part: list[Request] = []
    most, before = FIRST_CHUNK, ""
    for context, request in sorted(((_stripped(each), each) for each in requests), key=_place):
        if len(part) >= most and (not context or context != before):
            yield part
            part, most = [], min(LARGEST_CHUNK, 2 * most)
        part.append(request)
        before = context
    if part:
        yield part


def _stripped(request: Request) -> str:
    return request.context.rstrip()  # the encoder moves white space from here to the continuation


def _place(pair: tuple[str, Request]) -> tuple[str, ...]:
    context, request = pair
    return context, request.context, request.continuation, request.kind


def _chunk(encoder: Encoder, requests: Sequence[Request]) -> Chunk:
    chunk = Chunk()
    # Equal contexts are one object, so that a thousand choices do not store a thousand copies.
    contexts: dict[tuple[int, ...], tuple[int, ...]] = {}
    for request, spans in zip(requests, encoder.spans(requests), strict=True):
        if isinstance(spans, Failure):
            chunk.failures[request] = spans
            continue
        pairs = [_pair(span, contexts) for span in spans]
        chunk.add(request, _Encoded(pairs=pairs, cut=sum(span.cut for span in spans), apart=spans[0].encoded_apart))
    return chunk


def _pair(span: Span, contexts: dict[tuple[int, ...], tuple[int, ...]]) -> Pair:
    context = tuple(span.tokens[: len(span.tokens) - len(span.targets) + 1])
    return contexts.setdefault(context, context), tuple(span.targets)


def _answer(request: Request, encoded: _Encoded, scores: Mapping[Pair, Scored | Refused]) -> Answer | Failure:
    own = [scores[pair] for pair in encoded.pairs]
    parts = [Failure(reason="error", message=part.message) if isinstance(part, Refused) else part for part in own]
    tokens = sum(len(continuation) for _, continuation in encoded.pairs)
    return joined_answer(request, parts, tokens=tokens, cut_tokens=encoded.cut, encoded_apart=encoded.apart)


def expanded(answers: Mapping[Request, Answer | Failure], indices: Mapping[Request, Sequence[int]]) -> Batch:
    """Return each answer once per index of its request."""
    return [(index, answer) for request, answer in answers.items() for index in indices[request]]


def _ahead(items: Iterator[Item]) -> Iterator[Item]:
    """Make each item on a thread while the caller uses the previous one."""
    with ThreadPoolExecutor(1, thread_name_prefix="encoding") as pool:
        following = pool.submit(next, items, None)
        while (item := following.result()) is not None:
            following = pool.submit(next, items, None)
            yield item
