"""The `vllm` engine: vLLM with its prefix cache in use while scoring.

vLLM turns its prefix cache off for requests that want log-probabilities of their prompt, because it has none for the
tokens that the cache serves. Scoring needs only those of the continuation, so the cache may serve the context;
`queries` explains which of vLLM's values can then be used. This file joins the parts: requests to tokens, tokens to
groups and batches, batches to answers. `options` decides what vLLM is opened with; `client` and `worker` run it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.checkpoints.fit import check_causal, check_size
from harness.engines.base import Answer, Batch, Failure, Request, Scored, bad_arguments, joined_answer, no_room
from harness.engines.engine_pool import POOL, PooledEngine
from harness.engines.sampling_fields import sampling_fields
from harness.engines.spec import EngineSpec
from harness.engines.thoughts import ThinkTags
from harness.engines.tokens import Encoder, Span
from harness.engines.vllm.client import Engines
from harness.engines.vllm.generation import (
    CHECKPOINT_FIELDS,
    Generation,
    Refused,
    before_stop,
    sampling_arguments,
)
from harness.engines.vllm.options import Options, options
from harness.engines.vllm.queries import Group, batches, group_by_context
from harness.errors import CheckpointError, whole_reason

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from harness.checkpoints.checkpoint import Checkpoint

# A batch computes about this many tokens, or continues this many prompts. It takes seconds to a minute, which are lost
# when the process is killed.
BATCH_TOKENS = {"cpu": 8192, "cuda": 131072}
BATCH_PROMPTS = {"cpu": 64, "cuda": 1024}
# The share of the cache that one batch may fill: the second round must find the contexts of the first still cached.
CACHE_SHARE = 0.5

# A context and its continuation, as token ids.
Pair = tuple[tuple[int, ...], tuple[int, ...]]


def open_vllm(checkpoint: Checkpoint, spec: EngineSpec) -> VllmEngine:
    """Open a checkpoint in vLLM; checkpoints that differ only in their adapter share one engine (see `engine_pool`).

    Raises:
        InputError: vLLM is too old or refuses the arguments.
        CheckpointError: the tokenizer or the adapter cannot be used.
        EngineError: the engine cannot be opened.
    """
    check_causal(checkpoint.weights)
    if not spec.trust_remote_code:
        check_size(checkpoint.weights)
    tokenizer = _tokenizer(checkpoint, spec)
    opened = options(checkpoint, spec, tokenizer)
    sampling = sampling_fields(checkpoint.weights)
    pooled = POOL.take("vllm", opened.key, lambda: Engines(opened.arguments, opened.device, opened.environments))
    tags = None if spec.think_end is None else ThinkTags.of(spec.think_end)
    engine = VllmEngine(checkpoint, tokenizer, opened, pooled, sampling, tags)
    try:
        engine.load()
    except BaseException:
        engine.close()
        raise
    return engine


def _tokenizer(checkpoint: Checkpoint, spec: EngineSpec) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(
            checkpoint.tokenizer, trust_remote_code=spec.trust_remote_code
        )
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot open the tokenizer in {checkpoint.tokenizer}: {whole_reason(error)}") from error
    return tokenizer


class VllmEngine:
    """Answers requests with vLLM (see `harness.engines.base.Engine`).

    Attributes:
        asked_again: Number of queries for what the two rounds left unknown.
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        tokenizer: PreTrainedTokenizerBase,
        opened: Options,
        pooled: PooledEngine[Engines],
        sampling: Mapping[str, Any],
        think_tags: ThinkTags | None = None,
    ) -> None:
        self._pooled: PooledEngine[Engines] | None = pooled
        self._engines = pooled.engine
        self._opened = opened
        self._adapter = str(checkpoint.adapter) if checkpoint.adapter is not None else None
        self._encoder = Encoder(tokenizer, max_length=opened.max_length)
        self._think_tags = think_tags
        self._sampling = sampling
        eos = tokenizer.eos_token_id
        self._eos_text = str(tokenizer.decode([eos])) if eos is not None else None
        self.asked_again = 0
        self._answering = False  # stays True when the engine died, hangs, or was left before all answers came

    @property
    def description(self) -> dict[str, Any]:
        """Engine, device, precision, length, versions and the user's arguments."""
        arguments = self._opened.arguments
        return {
            "engine": "vllm",
            **self._engines.description,
            "engines": self._engines.count,
            "adapter": self._adapter,
            "max_length": self._opened.max_length,
            "tokens_added": self._encoder.tokens_added,
            "generation_config_not_applied": sorted(self._sampling.keys() - CHECKPOINT_FIELDS),
            "arguments": {name: value for name, value in arguments.items() if name not in ("model", "tokenizer")},
        }

    def answer(self, requests: Sequence[Request]) -> Iterator[Batch]:
        """Answer `requests`; yields ``[(index, Answer | Failure), ...]``.

        The queries and their order depend only on the set of requests, not on the order of the list.
        """
        self._answering = True
        self._engines.reset()
        scored = [index for index, request in enumerate(requests) if request.kind != "generate_until"]
        yield from self._score(requests, scored)
        generated = [index for index, request in enumerate(requests) if request.kind == "generate_until"]
        yield from self._generate(requests, generated)
        self._answering = False

    def load(self) -> None:
        """Load the adapter, if there is one; raises `InputError` when vLLM refuses it."""
        if self._adapter is not None:
            self._engines.load(self._adapter)

    def close(self) -> None:
        """Free the engine, unless another model still uses it."""
        if self._pooled is not None:
            self._pooled.release(usable=not self._answering)
        self._pooled = None

    @property
    def _kind(self) -> str:
        return "cpu" if self._engines.description["device"] == "cpu" else "cuda"

    def _score(self, requests: Sequence[Request], indices: list[int]) -> Iterator[Batch]:
        """Answer the log-likelihood requests at `indices`, each with the last batch that has one of its pairs."""
        failed: Batch = []
        encoded: dict[int, _Encoded] = {}
        # Equal pairs are asked about once: {pair: the requests that need it}.
        requests_of: dict[Pair, list[int]] = {}
        contexts: dict[tuple[int, ...], tuple[int, ...]] = {}
        for index, spans in zip(indices, self._encoder.spans([requests[index] for index in indices]), strict=True):
            if isinstance(spans, Failure):
                failed.append((index, spans))
                continue
            encoded[index] = _Encoded(
                pairs=[_pair(span, contexts) for span in spans],
                cut=sum(span.cut for span in spans),
                apart=spans[0].encoded_apart,
            )
            for pair in set(encoded[index].pairs):
                requests_of.setdefault(pair, []).append(index)
        if failed:
            yield failed
        waiting = {index: len(set(own.pairs)) for index, own in encoded.items()}
        scores: dict[Pair, Scored | Refused] = {}
        for groups in self._batches(requests_of):
            scores |= self._ask(groups)
            batch: Batch = []
            for index in (index for group in groups for pair in _pairs(group) for index in requests_of[pair]):
                waiting[index] -= 1
                if not waiting[index]:
                    batch.append((index, _answer(requests[index], encoded[index], scores)))
            if batch:
                yield batch

    def _batches(self, pairs: Iterable[Pair]) -> Iterator[list[Group]]:
        budget = BATCH_TOKENS[self._kind]
        cache = int(self._engines.description["kv_cache_tokens"] * CACHE_SHARE)
        budget = min(budget, cache or budget) * self._engines.count
        return batches(group_by_context(pairs, most_tokens=budget), budget_tokens=budget)

    def _ask(self, groups: Sequence[Group]) -> dict[Pair, Scored | Refused]:
        scores, repeated = self._engines.score(groups, self._adapter)
        self.asked_again += repeated
        return {
            pair: score
            for group, own in zip(groups, scores, strict=True)
            for pair, score in zip(_pairs(group), own, strict=True)
        }

    def _generate(self, requests: Sequence[Request], indices: list[int]) -> Iterator[Batch]:
        """Continue prompts, sorted so that those with a common beginning are neighbours."""
        order = sorted(indices, key=lambda index: repr(requests[index]))
        size = BATCH_PROMPTS[self._kind] * self._engines.count
        for start in range(0, len(order), size):
            yield self._generate_batch(requests, order[start : start + size])

    def _generate_batch(self, requests: Sequence[Request], indices: list[int]) -> Batch:
        prepared = {index: self._prepared(requests[index]) for index in indices}
        batch: Batch = [(index, prompt) for index, prompt in prepared.items() if isinstance(prompt, Failure)]
        usable = {index: prompt for index, prompt in prepared.items() if not isinstance(prompt, Failure)}
        outputs = self._engines.generate([generation for generation, _ in usable.values()], self._adapter)
        for (index, (generation, cut)), output in zip(usable.items(), outputs, strict=True):
            if isinstance(output, Refused):
                batch.append((index, Failure(reason="error", message=output.message)))
            else:
                text = before_stop(output.text, generation, requests[index], self._think_tags)
                batch.append((index, Answer(text=text, tokens=output.tokens, cut_tokens=cut)))
        return batch

    def _prepared(self, request: Request) -> tuple[Generation, int] | Failure:
        """The prompt with its arguments, and how many tokens were cut to make room."""
        try:
            arguments = sampling_arguments(request, eos=self._eos_text, checkpoint=self._sampling)
        except (TypeError, ValueError) as error:
            return bad_arguments(error)
        new = arguments["max_tokens"]
        if new >= self._opened.max_length:
            return no_room(new, self._opened.max_length)
        prompt = self._encoder.prompts([request.context], room=new)[0]
        stops = tuple(arguments["stop"])
        if self._think_tags is not None:
            arguments["stop"] = [stop for stop in stops if stop == self._eos_text]
        return Generation(prompt=prompt.tokens, arguments=arguments, stops=stops), prompt.cut


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoded:
    """A log-likelihood request as tokens.

    Attributes:
        pairs: One, or one per window if it is rolling.
        cut: Number of tokens that were cut.
        apart: Whether the continuation was encoded without its context.
    """

    pairs: list[Pair]
    cut: int
    apart: bool


def _answer(request: Request, encoded: _Encoded, scores: Mapping[Pair, Scored | Refused]) -> Answer | Failure:
    own = [scores[pair] for pair in encoded.pairs]
    parts = [Failure(reason="error", message=part.message) if isinstance(part, Refused) else part for part in own]
    tokens = sum(len(continuation) for _, continuation in encoded.pairs)
    return joined_answer(request, parts, tokens=tokens, cut_tokens=encoded.cut, encoded_apart=encoded.apart)


def _pair(span: Span, contexts: dict[tuple[int, ...], tuple[int, ...]]) -> Pair:
    """A span's context and continuation; equal contexts are one object, so that a thousand choices take no memory."""
    context = tuple(span.tokens[: len(span.tokens) - len(span.targets) + 1])
    return contexts.setdefault(context, context), tuple(span.targets)


def _pairs(group: Group) -> list[Pair]:
    return [(group.context, continuation) for continuation in group.continuations]
