"""Rows that end make room for others, and no text depends on what shares its batch."""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from harness.engines.base import Answer, Failure
from harness.engines.hf import generate
from harness.engines.hf.decoding import Batch, Row
from harness.engines.hf.flow import _fitting, _room, flow
from harness.engines.hf.steps import fast_steps
from tests.engines.hf.families import save_family
from tests.engines.hf.test_generate import CONTEXTS, SAMPLING, generation, texts
from tests.engines.hf.test_packed import answers, open_packed

PROMPTS = [f"{context} {word}" for context in CONTEXTS[:5] for word in ("sat", "ran", "and the dog", "because")]


def _forwards(engine: Any, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The rows of each forward pass from now on."""
    return _of_each_pass(engine, monkeypatch, len)


def _of_each_pass(engine: Any, monkeypatch: pytest.MonkeyPatch, measure: Callable[[Any], int]) -> list[int]:
    """What `measure` says about the token ids of each forward pass from now on."""
    measured: list[int] = []
    model = engine._forward.model
    forward = model.forward

    @functools.wraps(forward)  # `generate` reads its signature
    def counted(*words: Any, **named: Any) -> Any:
        measured.append(measure(named["input_ids"]))
        return forward(*words, **named)

    monkeypatch.setattr(model, "forward", counted)
    return measured


def _tokens(generated: Sequence[Answer | Failure]) -> list[int]:
    return [answer.tokens for answer in generated if isinstance(answer, Answer)]


@pytest.mark.parametrize("budget", [100, 200, 400, 100_000])
@pytest.mark.parametrize("arguments", [{"do_sample": False, "until": ["e", "x"], "max_gen_toks": 60}, SAMPLING])
def test_texts_do_not_depend_on_the_batch(
    budget: int, arguments: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = save_family(tmp_path, "llama")
    requests = [generation(prompt, **arguments) for prompt in PROMPTS]
    alone_engine = open_packed(path)
    alone = [text for request in requests for text in texts(answers(alone_engine, [request]))]
    with caplog.at_level(logging.WARNING):
        engine = open_packed(path)
        engine._generator._budget.tokens = budget
        in_batches = mock.Mock(wraps=engine._generator._runner.drain)
        engine._generator._runner = mock.Mock(wraps=engine._generator._runner, drain=in_batches)
        assert texts(answers(engine, requests)) == alone
    assert all(call.args[0] == [] for call in in_batches.call_args_list), "every row was in the flow"
    assert "a batch failed" not in caplog.text
    assert len(set(map(len, alone))) > 3, "rows end at different times"


def test_waiting_rows_join_those_that_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_packed(save_family(tmp_path, "llama"))
    requests = [generation(prompt, until=["e", "x"], max_gen_toks=64) for prompt in PROMPTS]
    lengths = _tokens(answers(engine, requests))
    engine._generator._budget.tokens = 8 * (max(lengths) + 32)
    rows = _forwards(engine, monkeypatch)
    assert _tokens(answers(engine, requests)) == lengths
    assert max(rows) < len(requests), "not all fit at once"
    joined = len(rows)
    rows.clear()
    monkeypatch.setattr(engine._generator, "_flowing", lambda *_: iter(()))
    assert _tokens(answers(engine, requests)) == lengths
    batch_by_batch = len(rows)
    assert joined < 0.8 * batch_by_batch


def test_prompts_are_read_a_third_of_the_budget_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading takes further memory for each token that is read, so a full batch is not read at once."""
    engine = open_packed(save_family(tmp_path, "llama"))
    requests = [generation(prompt, until=[], max_gen_toks=4) for prompt in PROMPTS]
    alone = [text for request in requests for text in texts(answers(engine, [request]))]
    passes = _of_each_pass(engine, monkeypatch, torch.Tensor.numel)
    assert texts(answers(engine, requests)) == alone
    at_once = max(passes)
    engine._generator._budget.tokens = 2 * at_once
    passes.clear()
    assert texts(answers(engine, requests)) == alone
    assert at_once // 4 < max(passes) <= 2 * at_once // 3


def test_a_batch_that_outgrows_its_budget_lets_rows_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_packed(save_family(tmp_path, "llama"))
    requests = [generation(prompt, until=[], max_gen_toks=80) for prompt in PROMPTS[:6]]
    expected = texts(answers(engine, requests))
    engine._generator._budget.tokens = 6 * 60  # for six rows with half of their new tokens
    rows = _forwards(engine, monkeypatch)
    assert texts(answers(engine, requests)) == expected
    assert rows[0] == 6
    assert any(count < 6 for count in rows[: 6 * 80 // 4]), "some waited"


def test_answers_come_as_rows_end(tmp_path: Path) -> None:
    engine = open_packed(save_family(tmp_path, "llama"))
    requests = [generation(prompt, until=["e", "x"], max_gen_toks=64) for prompt in PROMPTS]
    batches = [len(batch) for batch in engine.answer(requests) if batch]
    assert sum(batches) == len(requests)
    assert len(batches) > 2


def test_when_memory_runs_out_the_rest_is_computed_in_smaller_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_packed(save_family(tmp_path, "llama"))
    requests = [generation(prompt, until=["e", "x"], max_gen_toks=60) for prompt in PROMPTS]
    expected = texts(answers(engine, requests))
    model, rows = engine._forward.model, []
    forward = model.forward

    @functools.wraps(forward)
    def in_little_memory(*words: Any, **named: Any) -> Any:
        rows.append(len(named["input_ids"]))
        if rows[-1] > 6:
            raise MemoryError
        return forward(*words, **named)

    monkeypatch.setattr(model, "forward", in_little_memory)
    engine._generator._budget.tokens = len(PROMPTS) * 90
    assert texts(answers(engine, requests)) == expected
    too_many = [count for count in rows if count > 6]
    assert 1 <= len(too_many) <= 3, "each failure halves the budget"
    assert engine._generator._budget.tokens <= len(PROMPTS) * 90 // 2


def test_a_model_with_a_window_is_tried_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its cache drops old tokens, so no row can join a batch."""
    engine = open_packed(save_family(tmp_path, "mistral, sliding window"))
    requests = [generation(prompt, until=["e", "x"], max_gen_toks=40) for prompt in PROMPTS]
    alone = [text for request in requests for text in texts(answers(engine, [request]))]
    tried = mock.Mock(wraps=flow)
    monkeypatch.setattr(generate, "flow", tried)
    for _ in range(2):
        assert texts(answers(engine, requests)) == alone
    assert tried.call_count == 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("heads_of_mask", [0, 1, 6])
def test_a_step_is_transformers_attention(heads_of_mask: int, dtype: torch.dtype) -> None:
    """Whatever the mask, and although some models pass it by name."""
    draw = torch.Generator().manual_seed(0)
    query = torch.randn(3, 6, 1, 8, generator=draw).to(dtype)
    key, value = (torch.randn(3, 2, 9, 8, generator=draw).to(dtype) for _ in range(2))
    mask = torch.rand(3, heads_of_mask, 1, 9, generator=draw) < 0.7 if heads_of_mask else None
    if mask is not None:
        mask[..., -1] = True
    module: Any = torch.nn.Module()
    module.num_key_value_groups = 3
    before = ALL_ATTENTION_FUNCTIONS["sdpa"]
    with fast_steps(torch.device("cpu")):
        attended, _ = ALL_ATTENTION_FUNCTIONS["sdpa"](module, query, key, value, attention_mask=mask, scaling=0.5)
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is before
    # A step rounds only its result. Masks that differ by head go to torch's kernel, which rounds more often.
    precision = dtype if heads_of_mask == 6 else torch.float64
    keys, values = (states.repeat_interleave(3, dim=1).to(precision) for states in (key, value))
    expected = scaled_dot_product_attention(query.to(precision), keys, values, attn_mask=mask, scale=0.5)
    torch.testing.assert_close(attended, expected.transpose(1, 2).to(dtype))


@pytest.mark.parametrize("new", [20, 32, 60, 200])
def test_rows_that_must_wait_do_not_join_again_at_once(new: int) -> None:
    decoder: Any = SimpleNamespace(new=new)
    rows = [Row(prompt=[1] * 100, written=[2] * 17) for _ in range(110)]
    ids = torch.ones(len(rows), 117, dtype=torch.long)
    batch, late = _fitting(Batch(rows=rows, ids=ids, mask=ids), 12_288)
    assert late
    assert _room(decoder, batch, late, 12_288) <= 0


def test_overlapping_blocks_of_two_threads_leave_transformers_own_attention() -> None:
    own = ALL_ATTENTION_FUNCTIONS["sdpa"]
    first_is_over = threading.Event()

    def second_block(begun: threading.Event) -> None:
        with fast_steps(torch.device("cpu")):
            begun.set()
            first_is_over.wait(10)
            assert ALL_ATTENTION_FUNCTIONS["sdpa"] is not own, "still fast after the first block"

    begun = threading.Event()
    with ThreadPoolExecutor(1) as pool:
        with fast_steps(torch.device("cpu")):
            second = pool.submit(second_block, begun)
            assert begun.wait(10)
        first_is_over.set()
        second.result()
    assert ALL_ATTENTION_FUNCTIONS["sdpa"] is own
