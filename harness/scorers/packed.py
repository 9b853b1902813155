"""The `hf` engine: transformers models, each context computed once for all its continuations.

This file joins the parts: `loading` opens the model, `tokens` turns text into tokens, `prefix` decides what is
computed together, `attention` and `forward` compute it, `scoring` keeps going when memory runs out or a request is bad,
and `generate` generates.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from typing import Any

from harness.scorers.base import Batch, Failure, Request, joined_answer
from harness.scorers.batches import Budget
from harness.scorers.forward import Forward
from harness.scorers.generate import Generator
from harness.scorers.loading import PackedSpec, load
from harness.scorers.probe import longest_packed
from harness.scorers.scoring import Found, SpanScorer
from harness.scorers.tokens import Encoder, Span

__all__ = ["PackedScorer", "PackedSpec"]

# Tokens computed at a time. A CPU, where two packs share them, gains little beyond; a GPU wants to be filled.
BATCH_TOKENS = {"cpu": 4096, "cuda": 16384}
# Logits of a forward pass ([scored positions, vocabulary] in the model's dtype) take at most this much.
LOGITS_BYTES = {"cpu": 256 * 2**20, "cuda": 2 * 2**30}
# Generation holds the keys and values of this many times the tokens of a scoring pass.
GENERATION_TOKENS = {"cpu": 4, "cuda": 8}


class PackedScorer:
    """Answers requests with a transformers model (see `harness.scorers.base.Scorer`)."""

    def __init__(self, spec: PackedSpec) -> None:
        opened = load(spec)
        self._spec = spec
        self._max_length = opened.max_length
        self._encoder = Encoder(opened.tokenizer, max_length=opened.max_length, add_bos=spec.add_bos)
        self._forward = Forward(opened.model)
        device = "cpu" if self._forward.device.type == "cpu" else "cuda"
        tokens = BATCH_TOKENS[device] if spec.batch_tokens == "auto" else spec.batch_tokens
        scored = max(1, LOGITS_BYTES[device] // self._forward.bytes_of_logits)
        self._budget = Budget(tokens=tokens, scored=scored)
        self._longest_packed = longest_packed(self._forward, opened.max_length)
        self._scorer = SpanScorer(self._forward, budget=self._budget, longest_packed=self._longest_packed)
        self._generator = Generator(
            opened.model,
            opened.tokenizer,
            self._encoder,
            max_length=opened.max_length,
            budget=Budget(tokens=GENERATION_TOKENS[device] * tokens, scored=1),
        )

    @property
    def description(self) -> dict[str, Any]:
        """Engine, model, precision and versions, for the record."""
        import torch
        import transformers

        return {
            "engine": "hf",
            "model": self._spec.path,
            "adapter": self._spec.adapter,
            "revision": self._spec.revision,
            "dtype": str(self._forward.dtype).removeprefix("torch."),
            "widened_products": self._forward.widened,
            "device": str(self._forward.device),
            "max_length": self._max_length,
            "batch_tokens": self._budget.tokens,
            "packed_up_to": self._longest_packed,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }

    def answer(self, requests: Sequence[Request]) -> Iterator[Batch]:
        """Answer `requests`; yields ``[(index, Answer | Failure), ...]``."""
        scored = [index for index, request in enumerate(requests) if request.kind != "generate_until"]
        yield from self._answer_scored(requests, scored)
        generated = [index for index, request in enumerate(requests) if request.kind == "generate_until"]
        for answers in self._generator.answer(requests, generated):
            yield list(answers.items())

    def close(self) -> None:
        """Free the model's memory."""
        if not hasattr(self, "_forward"):
            return
        del self._generator, self._scorer, self._forward
        gc.collect()

    def _answer_scored(self, requests: Sequence[Request], indices: list[int]) -> Iterator[Batch]:
        """Answer the log-likelihood requests at `indices`, each when the last of its spans is scored."""
        encoded = self._encoder.spans([requests[index] for index in indices])
        failed: Batch = []
        spans: list[Span] = []
        numbers: dict[int, range] = {}  # request -> its spans
        for index, mine in zip(indices, encoded, strict=True):
            if isinstance(mine, Failure):
                failed.append((index, mine))
            else:
                numbers[index] = range(len(spans), len(spans) + len(mine))
                spans += mine
        if failed:
            yield failed
        owner = {number: index for index, own in numbers.items() for number in own}
        waiting = {index: len(own) for index, own in numbers.items()}
        results: Found = {}
        for found in self._scorer.score(spans):
            results |= found
            batch: Batch = []
            for index in (owner[number] for number in found):
                waiting[index] -= 1
                if not waiting[index]:
                    own = numbers[index]
                    tokens, cut = sum(len(spans[n].targets) for n in own), sum(spans[n].cut for n in own)
                    parts = [results.pop(n) for n in own]
                    batch.append((index, joined_answer(requests[index], parts, tokens=tokens, cut_tokens=cut)))
            if batch:
                yield batch
