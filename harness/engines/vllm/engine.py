"""The `vllm` engine: vLLM with its prefix cache in use while scoring.

vLLM turns its prefix cache off for requests that want log-probabilities of their prompt, because it has none for the
tokens that the cache serves. Scoring needs only those of the continuation, so the cache may serve the context;
`queries` explains which of vLLM's values can then be used. This file joins the parts: requests to tokens (`encoding`),
tokens to groups and batches, batches to answers. The next batch is sent before the answers to the last one are read.
`options` decides what vLLM is opened with; `client` and `worker` run it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.checkpoints.fit import check_causal, check_size
from harness.engines.base import Answer, Batch, Failure, Request, bad_arguments, no_room
from harness.engines.engine_pool import POOL, PooledEngine
from harness.engines.sampling_fields import sampling_fields
from harness.engines.spec import EngineSpec
from harness.engines.thoughts import ThinkTags
from harness.engines.tokens import Encoder
from harness.engines.vllm.client import Engines
from harness.engines.vllm.encoding import Chunk, Pair, chunks, expanded
from harness.engines.vllm.generation import (
    CHECKPOINT_FIELDS,
    Generated,
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

# A batch computes about this many tokens, or continues this many prompts. It takes seconds to a minute; a
# killed run loses at most two.
BATCH_TOKENS = {"cpu": 8192, "cuda": 131072}
BATCH_PROMPTS = {"cpu": 64, "cuda": 1024}
# The share of the cache that one batch may fill: the second round must find the contexts of the first still cached.
CACHE_SHARE = 0.5


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
        queries: Number of scoring queries.
        repeated_queries: Number of these that follow the two rounds, for values that are still missing.
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
        self.queries = self.repeated_queries = 0
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

        The queries and their order depend only on the set of requests, not on the order of the list. Requests that
        cannot be encoded come last.
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

    def _score(self, requests: Sequence[Request], scored: Sequence[int]) -> Iterator[Batch]:
        """Answer the log-likelihood requests at `scored`, each after the last batch with one of its pairs."""
        indices: dict[Request, list[int]] = {}
        for index in scored:
            indices.setdefault(requests[index], []).append(index)
        failures: dict[Request, Failure] = {}
        # The batches that vLLM has not answered yet, each with the chunk of requests that it comes from.
        sent: deque[tuple[Chunk, list[Group]]] = deque()

        def batched() -> Iterator[list[Group]]:
            for chunk in chunks(self._encoder, list(indices)):
                failures.update(chunk.failures)
                for groups in self._batches(chunk.pairs):
                    sent.append((chunk, groups))
                    yield groups

        for scores, counts in self._engines.score(batched(), self._adapter):
            self.queries += counts.queries
            self.repeated_queries += counts.repeated
            chunk, groups = sent.popleft()
            if batch := expanded(chunk.take(groups, scores), indices):
                yield batch
        if failures:
            yield expanded(failures, indices)

    def _batches(self, pairs: Iterable[Pair]) -> Iterator[list[Group]]:
        budget = BATCH_TOKENS[self._kind]
        cache = int(self._engines.description["kv_cache_tokens"] * CACHE_SHARE)
        budget = min(budget, cache or budget) * self._engines.count
        return batches(group_by_context(pairs, most_tokens=budget), budget_tokens=budget)

    def _generate(self, requests: Sequence[Request], indices: list[int]) -> Iterator[Batch]:
        """Continue prompts, sorted so that those with a common beginning are neighbours."""
        order = sorted(indices, key=lambda index: repr(requests[index]))
        size = BATCH_PROMPTS[self._kind] * self._engines.count
        sent: deque[dict[int, tuple[Generation, int] | Failure]] = deque()

        def batched() -> Iterator[list[Generation]]:
            for start in range(0, len(order), size):
                prepared = {index: self._prepared(requests[index]) for index in order[start : start + size]}
                sent.append(prepared)
                yield [each[0] for each in prepared.values() if not isinstance(each, Failure)]

        for outputs in self._engines.generate(batched(), self._adapter):
            rest = iter(outputs)
            yield [
                (index, each if isinstance(each, Failure) else self._text(requests[index], *each, next(rest)))
                for index, each in sent.popleft().items()
            ]

    def _text(
        self, request: Request, generation: Generation, cut: int, output: Generated | Refused
    ) -> Answer | Failure:
        if isinstance(output, Refused):
            return Failure(reason="error", message=output.message)
        text = before_stop(output.text, generation, request, self._think_tags)
        return Answer(text=text, tokens=output.tokens, cut_tokens=cut)

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
