"""What is left of a context behind its last full cache block is computed once, and every score stays what it was."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM, set_seed

from tests.models import tiny_tokenizer

ROOT = Path(__file__).resolve().parents[3]
TOLERANCE = 1e-3  # nats a continuation, in float32
BLOCK = 32
# A context of no full block, of full blocks alone, of one token more, one that ends with its block but for a token.
LENGTHS = (5, BLOCK, BLOCK + 1, 2 * BLOCK - 1, 70, 100)

# Prints each group's scores, and for each query how many tokens it has and how many of them were not computed.
ENGINE = """
import json, os, sys

os.environ["TORCHDYNAMO_DISABLE"] = "1"
os.dup2(os.dup(1), 9)
os.dup2(2, 1)

from harness.engines.vllm.queries import Group
from harness.engines.vllm.worker import Engine

arguments, contexts = json.loads(sys.argv[1])
engine = Engine(arguments, "cpu")
run, served = engine._run, []


def watched(prompts, params, adapter):
    outputs = run(prompts, params, adapter)
    served.extend([len(prompt), said.num_cached_tokens] for prompt, said in zip(prompts, outputs))
    return outputs


engine._run = watched
groups = [Group(tuple(context), tuple(map(tuple, ends))) for context, ends in contexts]
told = []
for _ in range(2):
    engine.reset()
    scores, again = engine.score(groups, None)
    told.append([[[said.logprob, said.is_greedy] for said in own] for own in scores])
os.write(9, json.dumps([told, served, again]).encode())
"""


def save_tiny(folder: Path, **window: int) -> Path:
    """Two layers whose predictions differ, as Llama, or as Mistral with a sliding window."""
    set_seed(0)
    tokenizer = tiny_tokenizer()
    make: Any = MistralForCausalLM if window else LlamaForCausalLM
    configured: Any = MistralConfig if window else LlamaConfig
    model = make(
        configured(
            vocab_size=len(tokenizer),
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            max_position_embeddings=256,
            initializer_range=0.2,
            **window,
        )
    )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def drawn(lengths: Sequence[int], words: int) -> list[tuple[list[int], list[list[int]]]]:
    """A context of each length with three continuations, of which two begin alike."""
    numbers = random.Random(1)

    def tokens(count: int) -> list[int]:
        return [numbers.randrange(5, words) for _ in range(count)]

    made = []
    for length in lengths:
        begun = tokens(3)
        made.append((tokens(length), sorted([[*begun, *tokens(20)], [*begun, *tokens(6)], tokens(9)])))
    return made


@dataclass
class Said:
    """What an engine said: a score for each continuation; of each query its tokens and how many were not computed.

    Attributes:
        again: How many of the queries, the last ones, were for what the others left unknown.
    """

    scores: list[list[tuple[float, bool]]]
    served: list[tuple[int, int]]
    again: int

    def behind(self, contexts: Sized) -> list[tuple[int, int]]:
        """Of the queries in which a continuation stands behind its context."""
        return self.served[len(contexts) : len(self.served) - self.again]


def asked(model: Path, contexts: object, **arguments: object) -> Said:
    opened = {"model": str(model), "tokenizer": str(model), "dtype": "float32", **arguments}
    said = subprocess.run(
        [sys.executable, "-c", ENGINE, json.dumps([opened, contexts])],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr[-3000:]
    told, served, again = json.loads(said.stdout)
    assert told[0] == told[1], "what an earlier call left behind changes nothing"
    return Said(told[0], [(length, cached) for length, cached in served[: len(served) // 2]], again)


def assert_right(model: Path, contexts: Sequence[tuple[list[int], list[list[int]]]], scores: Sequence[Any]) -> None:
    loaded: Any = MistralForCausalLM if "mistral" in (model / "config.json").read_text() else LlamaForCausalLM
    exact = loaded.from_pretrained(model, dtype=torch.float32).eval()
    for (context, ends), own in zip(contexts, scores, strict=True):
        for end, (logprob, greedy) in zip(ends, own, strict=True):
            with torch.inference_mode():
                rows = exact(torch.tensor([context + end])).logits[0, len(context) - 1 : -1].log_softmax(-1)
            assert logprob == pytest.approx(float(rows[range(len(end)), end].sum()), abs=TOLERANCE, rel=0)
            assert greedy == (rows.argmax(-1).tolist() == end)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("tiny-for-tails"))


def words(model: Path) -> int:
    return int(json.loads((model / "config.json").read_text())["vocab_size"])


def test_a_continuation_computes_no_token_of_its_context(model: Path) -> None:
    contexts = drawn(LENGTHS, words(model))
    said = asked(model, contexts, kv_cache_memory_bytes=2**26)
    assert_right(model, contexts, said.scores)
    assert [length for length, _ in said.served[: len(contexts)]] == list(LENGTHS)
    ends = [(len(context), len(end)) for context, ends in contexts for end in ends]
    for (length, cached), (context, end) in zip(said.behind(contexts), ends, strict=True):
        assert length == context + end - 1
        assert cached >= context


def test_siblings_that_part_where_a_block_ends_cost_one_token_more(model: Path) -> None:
    ((context, ends),) = drawn([BLOCK - 12], words(model))
    shared = [*ends[0], *ends[1], *ends[2]][:12]
    contexts = [(context, sorted([[*shared, 7, 8, 9], [*shared, 9, 8, 7]]))]
    said = asked(model, contexts, kv_cache_memory_bytes=2**26)
    assert_right(model, contexts, said.scores)
    assert said.again == 1
    assert said.served[-1] == (BLOCK, len(context)), "as what follows the tokens that they share"


def test_contexts_computed_in_pieces_and_more_than_are_kept_are_scored_right(model: Path) -> None:
    contexts = drawn(LENGTHS * 3, words(model))
    # 16 blocks of 2 layers, of which 2 are kept aside, for 4 requests of up to 4 blocks; passes of 24 tokens.
    small = {"kv_cache_memory_bytes": 16 * 2**14, "max_num_batched_tokens": 24, "max_num_seqs": 4, "max_model_len": 128}
    said = asked(model, contexts, **small)
    assert_right(model, contexts, said.scores)
    lengths = [len(context) for context, ends in contexts for _ in ends]
    whole = {
        cached >= length for (_, cached), length in zip(said.behind(contexts), lengths, strict=True) if length % BLOCK
    }
    assert whole == {True, False}, "some are kept, and some are not"


def test_models_with_a_sliding_window_keep_nothing_aside(tmp_path: Path) -> None:
    model = save_tiny(tmp_path, sliding_window=24)
    contexts = drawn(LENGTHS, words(model))
    said = asked(model, contexts, kv_cache_memory_bytes=2**26)
    assert_right(model, contexts, said.scores)
    assert all(cached % BLOCK == 0 for _, cached in said.served)
