"""The `vllm` engine gives the scores of lm-eval's `hf` model with its prefix cache in use, whatever the cache serves.

The engine is real: a tiny random-weight model in float32 on the CPU build.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from lm_eval.models.huggingface import HFLM
from transformers import AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

from harness.checkpoints.resolver import resolve
from harness.engines.base import Answer, Failure, Scored
from harness.engines.spec import EngineSpec
from harness.engines.vllm.engine import BATCH_PROMPTS, BATCH_TOKENS, VllmEngine, open_vllm
from harness.engines.vllm.queries import group_by_context
from tests.engines.hf.reference import instances, open_hflm
from tests.engines.vllm.tiny import (
    BLOCK,
    MAX_LENGTH,
    SMALL,
    TOLERANCE,
    answers,
    assert_same_scores,
    context_of,
    generating,
    good,
    mixed_requests,
    open_tiny,
    rolling,
    scoring,
    sentence,
)
from tests.synthetic.general import openbookqa

pytestmark = pytest.mark.usefixtures("one_thread")


def test_scores_and_greedy_flags_are_those_of_lm_evals_hf_model(engine: VllmEngine, reference: HFLM) -> None:
    assert_same_scores(engine, reference, mixed_requests())


def test_a_continuation_that_the_model_would_generate_is_greedy(engine: VllmEngine, reference: HFLM) -> None:
    contexts = [sentence(6, seed) for seed in range(24)]
    texts = reference.generate_until(
        instances([generating(context, until=[], max_gen_toks=1) for context in contexts]), disable_tqdm=True
    )
    requests = [scoring(context, text) for context, text in zip(contexts, texts, strict=True) if text]
    results = assert_same_scores(engine, reference, requests)
    assert any(answer.is_greedy for answer in results)


def test_rolling_scores_are_lm_evals_over_several_windows(engine: VllmEngine, reference: HFLM) -> None:
    requests = [rolling(sentence(count, count)) for count in (1, 30, 300)] + [rolling(sentence(300, 300) + " why")]
    expected = reference.loglikelihood_rolling(instances(requests), disable_tqdm=True)
    for answer, logprob in zip(good(engine, requests), expected, strict=True):
        assert answer.logprob == pytest.approx(logprob, abs=TOLERANCE * max(1, answer.tokens / 20), rel=0)
        assert answer.is_greedy is None


@pytest.mark.parametrize("tokens", [BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK])
def test_contexts_that_end_with_a_cache_block_are_scored_correctly(
    tokens: int, engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    context = context_of(tokenizer, tokens)
    assert_same_scores(engine, reference, [scoring(context, f" {sentence(3, seed)}") for seed in range(4)])


@pytest.mark.parametrize("tokens", [BLOCK - 6, BLOCK - 1, BLOCK])
def test_siblings_that_begin_with_the_same_tokens_are_scored_correctly(
    tokens: int, engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    context, alike = context_of(tokenizer, tokens), sentence(14, 3)
    ends = ["", " red", " red house", " dog", " dog ran", " why"]
    assert_same_scores(engine, reference, [scoring(context, f" {alike}{end}") for end in ends])


def test_repeated_requests_are_scored_correctly_within_a_call_and_in_the_next(
    engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    request = scoring(context_of(tokenizer, 2 * BLOCK), f" {sentence(12, 4)}")
    first = assert_same_scores(engine, reference, [request] * 3)
    assert good(engine, [request] * 2) == first[:2]


def test_tokens_that_only_another_context_computed_are_queried_again_with_the_cache_off(
    engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    context = context_of(tokenizer, BLOCK - 8)
    behind = sentence(20, 5).split()
    # The first request computes the block that the second's scored tokens begin in.
    requests = [
        scoring(context, " " + " ".join(behind)),
        scoring(f"{context} {behind[0]}", " " + " ".join([*behind[1:18], "why", "not"])),
    ]
    before = engine.repeated_queries
    assert_same_scores(engine, reference, requests)
    assert engine.repeated_queries > before


def test_the_order_of_requests_changes_no_bit_of_an_answer(engine: VllmEngine) -> None:
    requests = [*mixed_requests(), rolling(sentence(40, 6)), generating(sentence(5, 7), until=["\n"], max_gen_toks=6)]
    order = random.Random(0).sample(range(len(requests)), len(requests))
    shuffled = answers(engine, [requests[index] for index in order])
    assert [answers(engine, requests)[index] for index in order] == shuffled


def test_long_contexts_are_cut_on_the_left_as_lm_eval_cuts_them(
    engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    continuation = " sat on the mat"
    room = MAX_LENGTH + 1 - len(tokenizer(continuation).input_ids)  # the last token is predicted, never read
    lengths = (room - 1, room, room + 1, room + 50)
    requests = [scoring(context_of(tokenizer, length), continuation) for length in lengths]
    results = assert_same_scores(engine, reference, requests)
    assert [answer.cut_tokens for answer in results] == [max(0, length - room) for length in lengths]


def test_a_continuation_that_does_not_fit_is_a_failure_and_no_score(engine: VllmEngine) -> None:
    too_long, empty, fine = answers(engine, [scoring("a", " cat" * 200), scoring("a", ""), scoring("a", " cat")])
    assert isinstance(too_long, Failure)
    assert too_long.reason == "too_long"
    assert isinstance(empty, Failure)
    assert empty.reason == "empty"
    assert isinstance(fine, Answer)


def test_more_first_tokens_than_vllm_takes_at_once_are_scored_correctly(
    engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    single = [chr(code) for code in range(161, 600) if len(tokenizer(chr(code)).input_ids) <= 2][:200]
    assert_same_scores(engine, reference, [scoring("the cat", text) for text in single])


def test_batches_come_as_they_are_done(engine: VllmEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BATCH_TOKENS, "cpu", 64)
    assert len(list(engine.answer(mixed_requests()))) > 2


def test_the_next_batch_is_sent_before_the_answers_to_the_last_are_read(
    engine: VllmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BATCH_TOKENS, "cpu", 64)
    monkeypatch.setitem(BATCH_PROMPTS, "cpu", 2)
    for requests in (mixed_requests(), [generating(sentence(4, n), max_gen_toks=2) for n in range(6)]):
        unanswered = [engine._engines._workers[0]._unanswered for _ in engine.answer(requests)]
        assert unanswered == [*[1] * (len(unanswered) - 1), 0]
        assert len(unanswered) > 2


@pytest.mark.parametrize(
    ("tokens", "ends", "queries"),
    [
        (BLOCK + 3, ["the cat sat", "a dog ran", "who knows why"], 3),  # one each: the context needs none
        (BLOCK + 3, ["A", "B", "C"], 1),
        (BLOCK + 3, ["the cat sat", "a dog ran", "A"], 3),  # the context, for A, and one for each of the others
        (2 * BLOCK, ["the cat sat", "a dog ran", "who knows why"], 4),  # the cache may hold the context's last token
    ],
)
def test_a_context_takes_as_few_queries_as_its_continuations_need(
    tokens: int, ends: list[str], queries: int, engine: VllmEngine, reference: HFLM, tokenizer: PreTrainedTokenizerBase
) -> None:
    context = context_of(tokenizer, tokens, seed=tokens)
    requests = [scoring(context, end if len(end) == 1 else f" {end}") for end in ends]
    before, again = engine.queries, engine.repeated_queries
    assert_same_scores(engine, reference, requests)
    assert (engine.queries - before, engine.repeated_queries - again) == (queries, 0)


def test_bfloat16_is_as_close_to_float32_as_lm_evals(smollm2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    requests = [scoring(row["query"], f" {choice}") for row in openbookqa(6) for choice in row["choices"]]
    assert len(requests) == 24
    exact = open_hflm(smollm2).loglikelihood(instances(requests), disable_tqdm=True)
    theirs = open_hflm(smollm2, dtype="bfloat16").loglikelihood(instances(requests), disable_tqdm=True)
    opened = open_vllm(
        resolve(str(smollm2)), EngineSpec(backend="vllm", dtype="bfloat16", max_length=256, model_args=SMALL)
    )
    try:
        ours = good(opened, requests)
    finally:
        opened.close()

    def distance(logprobs: Sequence[float]) -> float:
        pairs = zip(logprobs, exact, strict=True)
        return float(sum(abs(logprob - right) for logprob, (right, _) in pairs) / len(exact))

    assert distance([answer.logprob or 0 for answer in ours]) <= 1.5 * distance([logprob for logprob, _ in theirs])


def test_tied_tokens_are_greedy_when_generation_would_take_them(model: Path, tmp_path: Path) -> None:
    """Two rows of the head are equal, so that two tokens always have the same score; generation takes the first."""
    llama: Any = LlamaForCausalLM.from_pretrained(model)
    tokenizer = AutoTokenizer.from_pretrained(model)
    contexts = [sentence(5, seed) for seed in range(24)]
    best = [_greedy(llama, tokenizer(context).input_ids, 3) for context in contexts]
    rows = llama.lm_head.weight.data
    # 64 rows apart, so that matrix products compute both in the same way and the scores are equal in every bit.
    usable = [tokens[1] for tokens in best if tokens[1] + 64 < len(rows) // 64 * 64]
    twin = max(set(usable), key=usable.count)
    other = twin + 64
    rows[other] = rows[twin]
    llama.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    engine = open_tiny(tmp_path)
    queries = [
        (tuple(tokenizer(context).input_ids), tuple(tokens)) for context, tokens in zip(contexts, best, strict=True)
    ]
    queries += [(context, tuple(other if token == twin else token for token in tokens)) for context, tokens in queries]
    groups = group_by_context(queries, most_tokens=10_000)
    try:
        ((scores, _),) = engine._engines.score([groups], None)
    finally:
        engine.close()
    expected = [[tuple(_greedy(llama, group.context, 3)) == each for each in group.continuations] for group in groups]
    assert [[isinstance(score, Scored) and score.is_greedy for score in own] for own in scores] == expected
    greedy = [
        each
        for group, own in zip(groups, expected, strict=True)
        for each, flag in zip(group.continuations, own, strict=True)
        if flag
    ]
    assert len(greedy) >= len(contexts) // 2
    assert any(twin in each[:2] for each in greedy), "some flags are decided by a tie before the last token"


def _greedy(model: Any, context: Sequence[int], count: int) -> list[int]:
    """The tokens that generation takes: each time the first of the most likely ones."""
    tokens = list(context)
    for _ in range(count):
        tokens.append(int(model(torch.tensor([tokens])).logits[0, -1].argmax()))
    return tokens[len(context) :]
