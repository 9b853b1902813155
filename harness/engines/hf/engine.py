"""The `hf` engine: transformers models, with each context computed once for all its continuations.

This file joins the parts: `loading` opens the model, `probe` tests it, `tokens` turns text into tokens, `prefix_tree`
decides what is computed together, `attention` and `forward` compute it, `span_scorer` and `runner` keep going when
memory runs out or a request fails, and `generate` generates texts.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any, Literal

import torch

from harness.engines.base import Batch, Failure, Request, joined_answer
from harness.engines.hf.forward import Forward
from harness.engines.hf.generate import Generator
from harness.engines.hf.loading import HfSpec, load
from harness.engines.hf.onednn import is_faster, use_onednn
from harness.engines.hf.probe import longest_packed
from harness.engines.hf.runner import Budget, ran_out_of_memory
from harness.engines.hf.span_scorer import SpanScorer, SpanScores
from harness.engines.thoughts import ThinkTags
from harness.engines.tokens import Encoder, Span
from harness.errors import EngineError, InputError, did_you_mean, first_line

if TYPE_CHECKING:
    from harness.checkpoints.checkpoint import Checkpoint
    from harness.engines.spec import EngineSpec

__all__ = ["HfEngine", "HfSpec"]

# Tokens that --batch_size counts as one row: packs hold sequences of different lengths, so the engine counts tokens.
TOKENS_PER_ROW = 256
# What --model_args may set; the rest of `HfSpec` has its own flags.
ARGUMENTS = ("add_bos", "attn_implementation", "batch_tokens")
# Tokens computed at a time. More gain little on a CPU, where two packs share them; a GPU needs many to be busy.
BATCH_TOKENS = {"cpu": 4096, "cuda": 16384}
# Largest size of a forward pass's logits, [scored positions, vocabulary] in the model's dtype.
LOGITS_BYTES = {"cpu": 256 * 2**20, "cuda": 2 * 2**30}
# Generation holds keys and values of this many times the tokens of a scoring pass.
GENERATION_TOKENS = {"cpu": 3, "cuda": 8}


class HfEngine:
    """Answers requests with a transformers model (see `harness.engines.base.Engine`)."""

    def __init__(self, spec: HfSpec) -> None:
        opened = load(spec)
        self._spec = spec
        self._max_length = opened.max_length
        self._encoder = Encoder(opened.tokenizer, max_length=opened.max_length, add_bos=spec.add_bos)
        self._forward = Forward(opened.model)
        self._onednn = not self._forward.upcasts and use_onednn(opened.model)
        # Also used in half precision; measured now, while nothing else runs.
        self._onednn_attention = self._forward.device.type == "cpu" and is_faster(torch.float32)
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
            think_tags=None if spec.think_end is None else ThinkTags.of(spec.think_end),
        )

    @property
    def description(self) -> dict[str, Any]:
        """Engine, model, precision and versions, for the record."""
        import transformers

        return {
            "engine": "hf",
            "model": self._spec.path,
            "adapter": self._spec.adapter,
            "revision": self._spec.revision,
            "dtype": str(self._forward.dtype).removeprefix("torch."),
            "widened_products": self._forward.upcasts,
            "onednn_products": self._onednn,
            "onednn_attention": self._onednn_attention and self._longest_packed > 0,
            "device": str(self._forward.device),
            "max_length": self._max_length,
            "tokens_added": self._encoder.tokens_added,
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
        """Free the model's memory. On a GPU, torch's cache is emptied too, so that other processes can use it."""
        if not hasattr(self, "_forward"):
            return
        del self._generator, self._scorer, self._forward
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _answer_scored(self, requests: Sequence[Request], indices: list[int]) -> Iterator[Batch]:
        """Answer the log-likelihood requests at `indices`, each when the last of its spans is scored."""
        encoded = self._encoder.spans([requests[index] for index in indices])
        failed: Batch = []
        spans: list[Span] = []
        # A rolling request has a span for each window: {request 0: spans 0 1 2, request 1: span 3}.
        numbers: dict[int, range] = {}
        for index, own_spans in zip(indices, encoded, strict=True):
            if isinstance(own_spans, Failure):
                failed.append((index, own_spans))
            else:
                numbers[index] = range(len(spans), len(spans) + len(own_spans))
                spans += own_spans
        if failed:
            yield failed
        owner = {number: index for index, own in numbers.items() for number in own}
        waiting = {index: len(own) for index, own in numbers.items()}
        scores: SpanScores = {}
        for scored in self._scorer.score(spans):
            scores |= scored
            batch: Batch = []
            for index in (owner[number] for number in scored):
                waiting[index] -= 1
                if not waiting[index]:
                    own = numbers[index]
                    answer = joined_answer(
                        requests[index],
                        [scores.pop(n) for n in own],
                        tokens=sum(len(spans[n].targets) for n in own),
                        cut_tokens=sum(spans[n].cut for n in own),
                        encoded_apart=spans[own[0]].encoded_apart,
                    )
                    batch.append((index, answer))
            if batch:
                yield batch


def open_hf(checkpoint: Checkpoint, spec: EngineSpec) -> HfEngine:
    """Load the checkpoint.

    Raises:
        InputError: an argument is unknown.
        CheckpointError: transformers cannot open the checkpoint.
        EngineError: the model does not fit into memory.
    """
    assert set(ARGUMENTS) <= {field.name for field in fields(HfSpec)}
    for name in spec.model_args:
        if name not in ARGUMENTS:
            hint = did_you_mean(name, ARGUMENTS)
            raise InputError(
                f"--model_args {name}: unknown; the hf backend takes {', '.join(ARGUMENTS)}.{hint} --backend "
                "lm-eval:hf passes other arguments on to transformers."
            )
    tokens: int | Literal["auto"] = "auto" if spec.batch_size == "auto" else int(spec.batch_size) * TOKENS_PER_ROW
    opened = HfSpec(
        **{
            "path": str(checkpoint.weights),
            "tokenizer": str(checkpoint.tokenizer),
            "adapter": str(checkpoint.adapter) if checkpoint.adapter else None,
            "dtype": spec.dtype,
            "device": spec.device,
            "batch_tokens": tokens,
            "max_length": spec.max_length,
            "trust_remote_code": spec.trust_remote_code,
            "think_end": spec.think_end,
            **spec.model_args,
        }
    )
    try:
        return HfEngine(opened)
    except Exception as error:
        if not ran_out_of_memory(error):
            raise
        raise EngineError(
            f"{checkpoint.source} does not fit into the memory of --device {spec.device} ({first_line(error)}); give a "
            "device with more memory, give --dtype bfloat16, or stop other programs that use the device."
        ) from error
