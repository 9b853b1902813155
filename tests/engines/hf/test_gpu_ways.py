"""What the `hf` engine does only on a GPU, run on the CPU: the scores still equal lm-eval's."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from harness.engines.hf import attention, forward, span_scorer
from harness.engines.hf.forward import Forward, Pack
from harness.engines.hf.prefix_tree import TokenTree
from tests.engines.hf.test_packed import answers, assert_same_scores, loglikelihood, mixed_requests, open_packed
from tests.models import save_tiny_llama
from tests.waiting import CEILING_SECONDS

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_llama(tmp_path_factory.mktemp("tiny"))


@pytest.fixture
def gpu_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """Padded batches, whole key heads, argmax for greedy flags, packs prepared on a thread, no streams."""
    plain = forward._are_greedy

    def padded(trees: Sequence[TokenTree], dtype: torch.dtype) -> list[attention.Part]:
        return list(attention._padded(trees, CPU, dtype))

    def by_argmax(*tensors: torch.Tensor, on_cpu: bool) -> torch.Tensor:
        return plain(*tensors, on_cpu=False)

    monkeypatch.setattr(attention, "_one_by_one", padded)
    monkeypatch.setattr(attention, "_needs_whole_heads", lambda query, mask: True)
    monkeypatch.setattr(forward, "_are_greedy", by_argmax)
    monkeypatch.setattr(span_scorer, "_prepares_ahead", lambda forward: True)
    monkeypatch.setattr(span_scorer, "_streams", lambda forward: None)


@pytest.mark.usefixtures("gpu_ways")
def test_scores_are_lm_evals(model: Path) -> None:
    engine = open_packed(model, batch_tokens=64)
    assert_same_scores(model, engine, mixed_requests())
    engine.close()


@pytest.mark.usefixtures("gpu_ways")
def test_a_pack_is_prepared_while_the_one_before_it_runs(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_packed(model, batch_tokens=64)
    prepare, run = Forward.prepare, Forward.run
    prepared: list[Pack] = []
    arrived = threading.Condition()
    early = 0

    def noted(self: Forward, *words: Any, **named: Any) -> Pack:
        pack = prepare(self, *words, **named)
        with arrived:
            prepared.append(pack)
            arrived.notify_all()
        return pack

    def first_waits(self: Forward, pack: Pack) -> Any:
        nonlocal early
        with arrived:
            if pack is prepared[0]:
                assert arrived.wait_for(lambda: len(prepared) > 1, CEILING_SECONDS)
                early += 1
        return run(self, pack)

    monkeypatch.setattr(Forward, "prepare", noted)
    monkeypatch.setattr(Forward, "run", first_waits)
    # Without a common prefix, whose states a pack would have to wait for.
    answers(engine, [loglikelihood(f"{n} is a number and so is", " one more of them") for n in range(20)])
    assert early == 1
    assert len(prepared) > 2
    engine.close()


def test_argmax_and_the_search_for_candidates_find_the_same_greedy_targets() -> None:
    torch.manual_seed(0)
    logits = torch.randint(0, 3, (40, 7)).bfloat16()  # many ties
    rows, targets = torch.arange(40).repeat_interleave(7), torch.arange(7).repeat(40)
    on_cpu, elsewhere = (forward._are_greedy(logits, rows, targets, on_cpu=on_cpu) for on_cpu in (True, False))
    assert torch.equal(on_cpu, elsewhere)
    assert on_cpu.sum() == 40


def test_a_closed_engine_holds_no_weights_and_gives_the_gpus_memory_back(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_packed(model)
    answers(engine, mixed_requests())
    weights = weakref.ref(next(engine._forward.model.parameters()))
    freed: list[bool] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: freed.append(weights() is None))
    gc.disable()  # closing must not leave it to a later collection
    try:
        engine.close()
    finally:
        gc.enable()
    assert freed == [True]


@pytest.mark.parametrize(
    ("on_gpu", "dtype", "masked", "whole"),
    [
        (True, torch.bfloat16, False, False),  # FlashAttention
        (True, torch.bfloat16, True, True),
        (True, torch.float32, False, True),
        (True, torch.float32, True, True),
        (False, torch.float32, True, False),
    ],
)
def test_key_heads_are_repeated_where_no_fast_kernel_has_groups(
    on_gpu: bool, dtype: torch.dtype, masked: bool, whole: bool
) -> None:
    query: Any = SimpleNamespace(is_cuda=on_gpu, dtype=dtype)
    assert attention._needs_whole_heads(query, torch.ones(1) if masked else None) == whole


def test_a_gpu_computes_as_many_rows_of_logits_at_a_time_as_fit_into_half_a_gibibyte() -> None:
    on_gpu = torch.device("meta")
    rows = forward._rows_at_a_time(torch.empty(5000, 128_256, device=on_gpu))
    assert rows * 128_256 * 4 <= 2**29 < (rows + 1) * 128_256 * 4
    assert forward._rows_at_a_time(torch.empty(5000, 1_000_000_000, device=on_gpu)) == forward._ROWS_AT_A_TIME
    assert forward._rows_at_a_time(torch.empty(5000, 10)) == forward._ROWS_AT_A_TIME
