"""The `hf` engine keeps going: out of memory, bad requests, models on which packs would be wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.checkpoints.resolver import resolve
from harness.engines.base import Answer, EngineDied, Failure
from harness.engines.hf.engine import HfEngine, HfSpec
from harness.engines.hf.probe import longest_packed
from harness.engines.registry import open_engine
from harness.engines.spec import EngineSpec
from harness.errors import EngineError
from tests.engines.hf.families import MAX_LENGTH, save_family
from tests.engines.hf.test_packed import answers, assert_same_scores, mixed_requests, open_packed
from tests.models import save_tiny_llama


class Guarded(nn.Module):
    """A layer that passes its input to `check` first, then does what it always did."""

    def __init__(self, layer: nn.Module, check: Callable[[Tensor], None]) -> None:
        super().__init__()
        self.layer = layer
        self.check = check

    def forward(self, ids: Tensor) -> Tensor:
        self.check(ids)
        embedded: Tensor = self.layer(ids)
        return embedded


def guard(engine: HfEngine, check: Callable[[Tensor], None]) -> None:
    """Put `check` before the embedding, which every forward pass goes through."""
    model: Any = engine._forward.model
    model.set_input_embeddings(Guarded(model.get_input_embeddings(), check))


@pytest.mark.parametrize("name", ["llama", "bloom (ALiBi)"])
@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("not enough memory: 1 byte"),
        RuntimeError("could not create a primitive"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    ],
)
def test_out_of_memory_halves_the_budget_and_loses_no_answer(name: str, error: Exception, tmp_path: Path) -> None:
    path = save_family(tmp_path, name)
    engine = open_packed(path, batch_tokens=1000)
    sizes: list[int] = []

    def small_memory(ids: Tensor) -> None:
        sizes.append(ids.numel())
        if ids.numel() > 150:
            raise error

    guard(engine, small_memory)
    assert_same_scores(path, engine, mixed_requests())
    assert max(sizes) > 150
    budget = engine.description["batch_tokens"]
    assert budget <= 2 * 150, "two packs share it"
    sizes.clear()
    answers(engine, mixed_requests(1))
    assert max(sizes) <= 150, "what ran out of memory once is not tried again"
    assert engine.description["batch_tokens"] <= budget, "the budget never grows"


def test_a_model_too_large_for_memory_is_an_error_with_a_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(spec: HfSpec) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.")

    monkeypatch.setattr("harness.engines.hf.engine.load", exhausted)
    checkpoint = resolve(str(save_tiny_llama(tmp_path)))
    with pytest.raises(EngineError, match=r"does not fit into the memory.*--dtype bfloat16"):
        open_engine(checkpoint, EngineSpec(backend="hf"))


def test_closing_twice_is_no_error(tmp_path: Path) -> None:
    engine = open_packed(save_tiny_llama(tmp_path))
    engine.close()
    engine.close()


def test_a_request_too_large_for_memory_alone_fails_alone(tmp_path: Path) -> None:
    path = save_family(tmp_path, "llama")
    engine = open_packed(path)
    requests = mixed_requests()

    def tiny_memory(ids: Tensor) -> None:
        if ids.numel() > 60:
            raise torch.OutOfMemoryError("CUDA out of memory")

    guard(engine, tiny_memory)
    results = answers(engine, requests)
    assert {answer.reason for answer in results if isinstance(answer, Failure)} == {"out_of_memory"}
    assert [isinstance(answer, Failure) for answer in results] == [len(request.context) > 500 for request in requests]


@pytest.mark.parametrize("name", ["llama", "bloom (ALiBi)"])
def test_an_error_fails_only_the_requests_that_cause_it(name: str, tmp_path: Path) -> None:
    path = save_family(tmp_path, name)
    engine = open_packed(path)
    requests = mixed_requests()
    poison = engine._encoder.spans([requests[3]])[0]
    assert not isinstance(poison, Failure)
    poisoned = poison[0].tokens[-2:]

    def breaks(ids: Tensor) -> None:
        for row in ids.tolist():
            if any(row[n : n + 2] == poisoned for n in range(len(row))):
                raise ValueError("a bad pair of tokens")

    guard(engine, breaks)
    spans = engine._encoder.spans(requests)
    results = answers(engine, requests)
    for span, answer in zip(spans, results, strict=True):
        assert not isinstance(span, Failure)
        tokens = span[0].tokens
        guilty = any(tokens[n : n + 2] == poisoned for n in range(len(tokens)))
        assert isinstance(answer, Failure) == guilty
        if isinstance(answer, Failure):
            assert answer.reason == "error"
            assert "a bad pair of tokens" in answer.message


def test_not_a_number_is_a_failure(tmp_path: Path) -> None:
    engine = open_packed(save_tiny_llama(tmp_path))
    model: Any = engine._forward.model
    with torch.no_grad():
        model.get_output_embeddings().weight.fill_(torch.nan)
    assert {answer.reason for answer in answers(engine, mixed_requests()) if isinstance(answer, Failure)} == {
        "not_finite"
    }
    assert not [answer for answer in answers(engine, mixed_requests()) if isinstance(answer, Answer)]


def test_a_broken_device_ends_the_engine(tmp_path: Path) -> None:
    engine = open_packed(save_tiny_llama(tmp_path))

    def broken(ids: Tensor) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    guard(engine, broken)
    with pytest.raises(EngineDied, match="CUDA error"):
        answers(engine, mixed_requests())


class TokenShift(nn.Module):
    """A recurrent layer: each position also gets the one before it in the row, whatever sequence that belongs to."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, hidden: Tensor) -> Tensor:
        shifted = torch.cat([torch.zeros_like(hidden[:, :1]), hidden[:, :-1]], dim=1)
        changed: Tensor = self.layer(hidden + shifted)
        return changed


class DeafToPositions(nn.Module):
    """Rotary embeddings by the place in the row; `position_ids` are ignored."""

    def __init__(self, rotary: nn.Module) -> None:
        super().__init__()
        self.rotary = rotary

    def forward(self, hidden: Tensor, position_ids: Tensor) -> Any:
        return self.rotary(hidden, torch.arange(position_ids.shape[1], device=hidden.device)[None])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("strange", ["token shift", "deaf to positions"])
def test_a_model_on_which_packs_are_wrong_is_detected_when_it_is_opened(
    strange: str, dtype: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_packed(save_family(tmp_path, "llama"), dtype=dtype)
    model: Any = engine._forward.model
    assert longest_packed(engine._forward, MAX_LENGTH) == MAX_LENGTH
    if strange == "token shift":
        for layer in model.model.layers:
            layer.mlp = TokenShift(layer.mlp)
    else:
        model.model.rotary_emb = DeafToPositions(model.model.rotary_emb)
    with caplog.at_level(logging.WARNING):
        assert longest_packed(engine._forward, MAX_LENGTH) == 0
    assert "each request is a row of its own" in caplog.text


def test_eager_attention_is_not_replaced(tmp_path: Path) -> None:
    path = save_family(tmp_path, "gemma2")
    engine = open_packed(path, attn_implementation="eager")
    assert engine.description["packed_up_to"] == 0
    assert_same_scores(path, engine, mixed_requests(), attn_implementation="eager")


def test_closing_frees_the_model(tmp_path: Path) -> None:
    import gc
    import weakref

    engine = HfEngine(HfSpec(path=str(save_tiny_llama(tmp_path)), device="cpu"))
    model = weakref.ref(engine._forward.model)
    engine.close()
    gc.collect()
    assert model() is None
