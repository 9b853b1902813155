"""oneDNN's products change no score beyond rounding, on any model, and are left out where they do not fit."""

from __future__ import annotations

import copy
import weakref
from pathlib import Path
from typing import Any
from unittest import mock

import peft
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention
from torch.testing._internal.two_tensor import TwoTensor

from harness.engines.base import Answer
from harness.engines.hf import attention, blocked_attention, engine, onednn
from harness.engines.hf.blocked_attention import attend_in_blocks
from harness.engines.hf.loading import HfSpec, load
from harness.engines.hf.onednn import OneDnnLinear, is_faster, product, use_onednn
from harness.engines.hf.runner import ran_out_of_memory
from tests.engines.hf.families import ALL, IN_ROWS, save_family
from tests.engines.hf.plain import logprob
from tests.engines.hf.reference import instances, open_hflm
from tests.engines.hf.test_adapters import CONTEXTS, TRAINED, lora, save_padded, train
from tests.engines.hf.test_generate import CONTEXTS as GENERATED
from tests.engines.hf.test_generate import generation, texts
from tests.engines.hf.test_packed import answers, assert_same_scores, loglikelihood, mixed_requests, open_packed
from tests.engines.hf.test_shared_prefix import ENDS, PREFIX
from tests.models import save_tiny_llama, tiny_tokenizer

BFLOAT16 = pytest.mark.skipif(
    not torch.ops.mkldnn._is_mkldnn_bf16_supported(), reason="oneDNN multiplies no bfloat16 on this processor"
)
DTYPES = [torch.float32, pytest.param(torch.bfloat16, marks=BFLOAT16)]


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use oneDNN for layers and contexts of any size, even if it is not faster on this processor."""
    monkeypatch.setattr(onednn, "LEAST_WEIGHTS", 1)
    for module in (onednn, blocked_attention, engine):
        monkeypatch.setattr(module, "is_faster", lambda dtype: dtype in (torch.float32, torch.bfloat16))
    for name, value in {"_BLOCK": 4, "_LEAST_ROWS": 1, "_LEAST_KEYS": 1}.items():
        monkeypatch.setattr(blocked_attention, name, value)


measured = is_faster.__wrapped__
"""`is_faster` without what it has measured before."""


def plain_layers(model: nn.Module) -> list[str]:
    return [name for name, module in model.named_modules() if type(module) is nn.Linear]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("reordered", [True, False])
@pytest.mark.parametrize("shape", [(0, 48), (48,), (1, 48), (3, 5, 48), (700, 48)])
def test_a_layer_gives_torchs_products(
    shape: tuple[int, ...], *, reordered: bool, bias: bool, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(48, 80, bias=bias, dtype=dtype).requires_grad_(requires_grad=False)
    weight = layer.weight.clone()
    states = torch.randn(shape).to(dtype)
    turned = states.transpose(0, 1) if states.dim() == 3 else states  # not contiguous
    replacement = OneDnnLinear(layer, reordered=reordered)
    for given in (states, turned):
        found, expected = replacement(given), linear(given, weight, layer.bias)
        assert found.dtype == dtype
        rounding = torch.finfo(dtype).eps
        torch.testing.assert_close(
            found, expected, rtol=2 * rounding, atol=10 * rounding if dtype == torch.float32 else rounding
        )
    assert torch.equal(replacement.weight, weight)


@pytest.mark.parametrize("dtype", [*DTYPES, pytest.param(torch.float16)])
@pytest.mark.parametrize(("group", "queries", "before"), [(1, 5, 0), (3, 5, 0), (3, 130, 0), (3, 40, 17), (8, 300, 90)])
@pytest.mark.parametrize("scaling", [None, 0.3])
def test_blocks_attend_as_torchs_kernel(
    group: int, queries: int, before: int, scaling: float | None, dtype: torch.dtype
) -> None:
    """Causal, or behind a prefix of `before` tokens with a mask in which each query sees itself and some others."""
    torch.manual_seed(0)
    keys = before + queries

    def states(heads: int, tokens: int, size: int) -> Tensor:
        return torch.randn(1, tokens, heads, size).to(dtype).transpose(1, 2)  # as projections leave them

    query, key, value = states(2 * group, queries, 16), states(2, keys, 16), states(2, keys, 24)
    mask = None
    if before:
        seen = (torch.rand(queries, keys) < 0.5) | (torch.arange(keys) == torch.arange(before, keys)[:, None])
        mask = torch.zeros(1, 1, queries, keys, dtype=dtype).masked_fill_(~seen, -torch.inf)
    found = attend_in_blocks(query, key, value, mask, scaling)
    assert found.dtype == dtype

    def by_torch(precision: torch.dtype) -> Tensor:
        added = None if mask is None else mask.to(precision)
        q, k, v = (given.to(precision) for given in (query, key, value))
        attended: Tensor = scaled_dot_product_attention(
            q, k, v, attn_mask=added, is_causal=added is None, scale=scaling, enable_gqa=True
        )
        return attended.double()

    exact = by_torch(torch.float64)
    assert float((found.double() - exact).abs().max()) <= max(2 * float((by_torch(dtype) - exact).abs().max()), 2e-6)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("name", ALL)
def test_scores_equal_lm_evals_on_every_architecture(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attend = mock.Mock(wraps=attend_in_blocks)
    monkeypatch.setattr(attention, "attend_in_blocks", attend)
    path = save_family(tmp_path, name)
    opened = open_packed(path)
    assert opened.description["onednn_products"]
    assert opened.description["onednn_attention"] == (name not in IN_ROWS)
    assert any(isinstance(module, OneDnnLinear) for module in opened._forward.model.modules())
    assert_same_scores(path, opened, mixed_requests())
    assert attend.called == (name not in IN_ROWS)


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3", "mamba (recurrent)"])
def test_texts_equal_lm_evals(name: str, tmp_path: Path) -> None:
    path = save_family(tmp_path, name, max_length=256)
    opened = open_packed(path)
    assert opened.description["onednn_products"]
    requests = [generation(context, until=["\n\n"], max_gen_toks=20) for context in GENERATED]
    requests += [generation(PREFIX + end, until=[], max_gen_toks=20) for end in ENDS]
    expected = open_hflm(path).generate_until(instances(requests), disable_tqdm=True)
    assert texts(answers(opened, requests)) == expected


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("name", [*TRAINED, "DoRA", "IA3", "LoRA of all layers", "LoRA of parameters"])
def test_adapters_score_as_they_were_trained(name: str, tied: bool, tmp_path: Path) -> None:
    more = {
        "DoRA": (lora(use_dora=True), None),
        "IA3": (peft.IA3Config(task_type="CAUSAL_LM"), None),
        "LoRA of all layers": (lora(target_modules="all-linear"), None),
        "LoRA of parameters": (lora(target_modules=[], target_parameters=["q_proj.weight"]), None),
    }
    config, rows = {**TRAINED, **more}[name]
    base = save_padded(tmp_path / "base", tied=tied)
    trained = train(base, tmp_path / "adapter", copy.deepcopy(config), rows)
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(tmp_path / "adapter")
    adapted = open_packed(base, adapter=str(tmp_path / "adapter"), tokenizer=str(tmp_path / "adapter"))
    assert adapted.description["onednn_products"]
    scored = answers(adapted, [loglikelihood(context, " on the mat") for context in CONTEXTS])
    for context, answer in zip(CONTEXTS, scored, strict=True):
        assert isinstance(answer, Answer)
        assert answer.logprob == pytest.approx(logprob(trained, tokenizer, context, " on the mat"), abs=1e-4)


def test_a_weight_that_is_read_is_reordered_back_once() -> None:
    plain = nn.Linear(48, 80).requires_grad_(requires_grad=False)
    layer, states = OneDnnLinear(plain, reordered=True), torch.randn(5, 48)
    assert torch.equal(layer.weight, plain.weight)
    assert layer.weight.data_ptr() == layer.weight.data_ptr()
    torch.testing.assert_close(layer(states), plain(states))


def opened(path: Path, dtype: str = "float32") -> Any:
    return load(HfSpec(path=str(path), dtype=dtype, device="cpu")).model


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("dtype", ["float32", pytest.param("bfloat16", marks=BFLOAT16)])
def test_a_weight_with_two_users_is_kept_once(dtype: str, tmp_path: Path) -> None:
    save_tiny_llama(tmp_path, tie_word_embeddings=True)
    model = opened(tmp_path, dtype)
    embedding = model.get_input_embeddings().weight
    assert use_onednn(model)
    head = model.get_output_embeddings()
    assert isinstance(head, OneDnnLinear) == (dtype == "float32"), "in bfloat16, torch calls oneDNN by itself"
    assert head.weight.data_ptr() == embedding.data_ptr()
    assert not any(name.startswith("model.") for name in plain_layers(model))


@pytest.mark.usefixtures("everywhere")
def test_the_checkpoints_file_is_not_kept_in_memory(tmp_path: Path) -> None:
    save_tiny_llama(tmp_path, tie_word_embeddings=True)
    model = opened(tmp_path)
    model.register_buffer("scale", model.model.norm.weight.data)  # as if it were read from the file too
    assert str(tmp_path) in Path("/proc/self/maps").read_text(encoding="utf-8"), "transformers maps the file"
    use_onednn(model)
    assert str(tmp_path) not in Path("/proc/self/maps").read_text(encoding="utf-8")


@pytest.mark.usefixtures("everywhere")
def test_plain_weights_are_gone_when_memory_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    model = nn.Sequential(*(nn.Linear(8, 8) for _ in range(3)))
    plain = [weakref.ref(layer) for layer in model]
    left: list[int] = []
    monkeypatch.setattr(onednn, "_release_checkpoint", lambda _: left.append(sum(own() is not None for own in plain)))
    assert use_onednn(model)
    assert left == [0]


@pytest.mark.usefixtures("everywhere")
def test_layers_with_code_around_them_stay_as_they_are() -> None:
    class Own(nn.Linear):
        """A layer with code of its own."""

    model = nn.ModuleDict({name: nn.Linear(8, 8) for name in ("plain", "before", "after", "patched", "float64")})
    model["own"] = Own(8, 8)
    model["quantized"] = nn.Linear(8, 8)
    model["quantized"].weight = nn.Parameter(
        TwoTensor(torch.randn(8, 8), torch.randn(8, 8)),  # type: ignore[no-untyped-call]
        requires_grad=False,
    )
    model["packed"] = nn.Linear(8, 8)
    del model["packed"].weight
    model["packed"].forward = lambda states: states
    model["float64"].double()
    model["before"].register_forward_pre_hook(lambda *_: None)
    model["after"].register_forward_hook(lambda *_: None)
    model["patched"].forward = lambda states: states
    assert use_onednn(model)
    assert [name for name, module in model.items() if isinstance(module, OneDnnLinear)] == ["plain"]


@pytest.mark.usefixtures("everywhere")
def test_a_layer_at_two_places_stays_as_it_is() -> None:
    model = nn.ModuleList(nn.Linear(8, 8) for _ in range(2))
    model.append(model[0])
    assert use_onednn(model)
    assert plain_layers(model) == ["0"]
    assert model[2] is model[0]


def test_small_layers_stay_as_they_are() -> None:
    model = nn.Sequential(nn.Linear(8, 8))
    assert not use_onednn(model)
    assert plain_layers(model) == ["0"]


def test_operators_that_are_missing_or_wrong_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "_ROWS", {8: 1e9, 256: 1e9})  # whatever time they take
    assert measured(torch.float32), "the installed torch has both operators"
    assert not measured(torch.float64)
    monkeypatch.setattr(onednn, "product", lambda states, *_: torch.zeros(len(states), 1024))
    assert not measured(torch.float32)

    def missing(*_: object) -> Tensor:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_linear_pointwise'")

    monkeypatch.setattr(onednn, "product", missing)
    monkeypatch.setattr(onednn, "is_faster", measured)
    assert not measured(torch.float32)
    model = nn.Sequential(nn.Linear(512, 512))
    assert not use_onednn(model)
    assert plain_layers(model) == ["0"]


def test_what_onednn_cannot_multiply_is_not_taken_for_a_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="could not create a primitive descriptor") as raised:
        product(torch.ones(2, 4), torch.ones(3, 5))
    assert not ran_out_of_memory(raised.value)


def test_slower_products_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onednn, "_ROWS", {8: 1e9, 256: 0.0})
    assert not measured(torch.float32)
