"""A tiny model for vLLM, requests for it, and the comparison of its answers with lm-eval's."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from lm_eval.models.huggingface import HFLM
from transformers import PreTrainedTokenizerBase

from harness.checkpoints.resolver import resolve
from harness.engines.base import Answer, Failure, Request
from harness.engines.spec import EngineSpec
from harness.engines.vllm.engine import VllmEngine, open_vllm
from tests import models as tiny_models
from tests.engines.hf.reference import instances

TOLERANCE = 1e-3  # nats per continuation, in float32

MAX_LENGTH = 128

BLOCK = 32  # tokens that vLLM caches together on the CPU

SMALL = {"kv_cache_memory_bytes": 64 * 2**20}

WORDS = tiny_models.WORDS.split()


def save_model(folder: Path) -> Path:
    """A two-layer Llama with a head size that vLLM supports, and weights so large that its predictions differ."""
    return tiny_models.save_tiny_llama(
        folder,
        hidden_size=64,
        intermediate_size=128,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=MAX_LENGTH,
        initializer_range=0.2,
    )


def open_tiny(path: Path, **fields: object) -> VllmEngine:
    model_args = {**SMALL, **fields.pop("model_args", {})}  # type: ignore[dict-item]
    return open_vllm(resolve(str(path)), EngineSpec(backend="vllm", dtype="float32", model_args=model_args, **fields))  # type: ignore[arg-type]


def answers(engine: VllmEngine, requests: Sequence[Request]) -> list[Answer | Failure]:
    """Every request's answer, in order; fails when one is missing or is yielded twice."""
    pairs = [pair for batch in engine.answer(requests) for pair in batch]
    assert sorted(index for index, _ in pairs) == list(range(len(requests)))
    return [answer for _, answer in sorted(pairs, key=lambda pair: pair[0])]


def good(engine: VllmEngine, requests: Sequence[Request]) -> list[Answer]:
    results = answers(engine, requests)
    assert not [answer for answer in results if isinstance(answer, Failure)]
    return [answer for answer in results if isinstance(answer, Answer)]


def assert_same_scores(engine: VllmEngine, reference: HFLM, requests: Sequence[Request]) -> list[Answer]:
    expected = reference.loglikelihood(instances(requests), disable_tqdm=True)
    results = good(engine, requests)
    for request, answer, (logprob, greedy) in zip(requests, results, expected, strict=True):
        assert answer.logprob == pytest.approx(logprob, abs=TOLERANCE, rel=0), request
        assert answer.is_greedy == greedy, request
    return results


def scoring(context: str, continuation: str) -> Request:
    return Request(kind="loglikelihood", context=context, continuation=continuation)


def rolling(text: str) -> Request:
    return Request(kind="loglikelihood_rolling", context="", continuation=text)


def generating(context: str, *, seed: int | None = None, repeat: int = 0, **arguments: object) -> Request:
    return Request(kind="generate_until", context=context, generation=json.dumps(arguments), seed=seed, repeat=repeat)


def sentence(count: int, seed: int) -> str:
    drawn = random.Random(seed)
    return " ".join(drawn.choice(WORDS) for _ in range(count))


def context_of(tokenizer: PreTrainedTokenizerBase, tokens: int, seed: int = 0) -> str:
    """A text of exactly this many tokens."""
    text = WORDS[0]
    for word in itertools.islice(itertools.cycle(sentence(200, seed).split()), 1000):
        longer = f"{text} {word}"
        if len(tokenizer(longer).input_ids) > tokens:
            break
        text = longer
    while len(tokenizer(text).input_ids) < tokens:
        text += "!"
    assert len(tokenizer(text).input_ids) == tokens
    return text


def whole(text: str) -> str:
    """The text without an incomplete last character, which vLLM leaves out."""
    return text.rstrip("\N{REPLACEMENT CHARACTER}")


def mixed_requests() -> list[Request]:
    """Shared examples, letters, empty contexts, trailing spaces, other scripts, a special token, repeats."""
    examples = sentence(20, 1)
    requests = []
    for item in range(6):
        context = f"{examples}\n{sentence(4 + item, 10 + item)}"
        requests += [scoring(context, f" {sentence(1 + choice, 20 + choice)}") for choice in range(4)]
        requests += [scoring(context, letter) for letter in "ABCD"]
    requests += [scoring("", "a cat"), scoring("", "a"), scoring("", "<s>a cat"), scoring("<s>the mat", " sat")]
    requests += [scoring("the mat  ", "was red"), scoring("who \n", " knows"), scoring("漢字 🙂", " é漢 why")]
    return [*requests, requests[0], requests[5]]
