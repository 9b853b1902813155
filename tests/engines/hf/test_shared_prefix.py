"""A prefix that many prompts share is computed once, and no text changes."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch import Tensor

from harness.engines.hf import shared_prefix, steps
from harness.engines.hf.shared_prefix import group_by_prefix
from tests.engines.hf.families import ALL, save_family
from tests.engines.hf.test_generate import SAMPLING, generation, texts
from tests.engines.hf.test_packed import answers, open_packed

PREFIX = "the dog sat and the cat ran because the dog and the cat sat "
ENDS = ["because", "the cat", "a dog sat and ran and sat", "and", "the", "dog dog dog dog dog", "a", "the dog and"]
GREEDY: dict[str, Any] = {"do_sample": False, "until": ["e", "x"], "max_gen_toks": 24}


@pytest.fixture(autouse=True)
def short_prefixes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_prefix, "MIN_PREFIX_TOKENS", 8)


@pytest.mark.parametrize(
    ("name", "arguments", "flows"),
    [
        *((name, arguments, True) for name in ALL for arguments in (GREEDY, SAMPLING)),
        ("llama", GREEDY, False),
        ("gpt2", SAMPLING, False),
        ("llama", {**GREEDY, "num_beams": 2}, True),
    ],
)
def test_texts_are_those_of_prompts_computed_whole(
    name: str, arguments: dict[str, Any], flows: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_packed(save_family(tmp_path, name))
    requests = [generation(PREFIX + end, **arguments) for end in ENDS]
    requests += [generation(end, **arguments) for end in ENDS[:2]]
    alone = [text for request in requests for text in texts(answers(engine, [request]))]
    engine._generator._flows = flows
    caplog.clear()
    assert texts(answers(engine, requests)) == alone
    assert "a batch failed" not in caplog.text


def _computed(engine: Any, requests: list[Any], monkeypatch: pytest.MonkeyPatch) -> int:
    """Tokens that the model computes for these requests."""
    model, tokens = engine._forward.model, []
    forward = model.forward

    @functools.wraps(forward)  # `generate` reads its signature
    def counted(*words: Any, **named: Any) -> Any:
        tokens.append(named["input_ids"].numel())
        return forward(*words, **named)

    with monkeypatch.context() as patch:
        patch.setattr(model, "forward", counted)
        texts(answers(engine, requests))
    return sum(tokens)


def test_the_prefix_is_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_packed(save_family(tmp_path, "llama"))
    requests = [generation(PREFIX + end, until=[], max_gen_toks=1) for end in ENDS]
    answers(engine, requests)  # so that the model is tested already
    shared = _computed(engine, requests, monkeypatch)
    monkeypatch.setattr(shared_prefix, "MIN_PROMPTS", 100)
    assert shared < 0.6 * _computed(engine, requests, monkeypatch)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_steps_read_the_keys_of_the_prefix_once_for_all_rows(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_packed(save_family(tmp_path, name))
    attend = mock.Mock(wraps=steps.attend_with_prefix)
    monkeypatch.setattr(steps, "attend_with_prefix", attend)
    answers(engine, [generation(PREFIX + end, until=[], max_gen_toks=6) for end in ENDS])
    assert max(len(call.args[0]) for call in attend.call_args_list) == len(ENDS)
    attend.reset_mock()
    answers(engine, [generation(end, until=[], max_gen_toks=6) for end in ENDS])
    assert not attend.called


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("paddings", [[0, 0, 0], [0, 3, 1], [2, 5, 2]])
def test_attention_behind_a_prefix_is_attention_to_all_tokens(paddings: list[int], dtype: torch.dtype) -> None:
    draw = torch.Generator().manual_seed(0)
    width, size = 17, 8
    queries = torch.randn(3, 2, 3, 16, generator=draw)
    key, value = (torch.randn(3, 2, width, dim, generator=draw).to(dtype) for dim in (16, 12))
    before = tuple(torch.randn(2, size, dim, generator=draw).to(dtype) for dim in (16, 12))
    mask = torch.ones(3, 1, 1, width, dtype=torch.bool)
    for row, padding in enumerate(paddings):
        mask[row, ..., :padding] = False
        for states, prefix in zip((key, value), before, strict=True):
            states[row, :, padding : padding + size] = prefix
    padded = mask if any(paddings) else None
    found = steps.attend_with_prefix(queries, key, value, padded, (before[0], before[1]))
    torch.testing.assert_close(found, steps.attend_to_all(queries, key, value, padded))


def test_a_prefix_is_read_once_only_behind_masks_of_padding() -> None:
    padding = torch.tensor([0, 2])
    mask = (torch.arange(6) >= padding[:, None])[:, None, None]
    window = mask & (torch.arange(6) >= 3)

    def fits(mask: Tensor | None, padding: Tensor = padding) -> bool:
        return steps.PaddedPrefix(prefix=mock.Mock(), padding=padding).is_mask_of_padding(mask)

    assert fits(mask)
    assert fits(None, torch.tensor([0, 0]))
    assert not fits(None)
    assert not fits(window)
    assert not fits(mask.repeat_interleave(2, dim=0)), "two beams per row"
    assert not fits(mask.expand(2, 3, 1, 6)), "a mask per head"
    assert not fits(torch.zeros(2, 1, 1, 6)), "numbers to add"
    rows = steps.PaddedPrefix(prefix=mock.Mock(), padding=padding)
    assert [rows.is_mask_of_padding(each) for each in (mask, window, mask)] == [True, False, True]


def test_prompts_are_grouped_by_their_prefix() -> None:
    one, other = list(range(20)), list(range(100, 130))
    prompts = {0: [1, 2, 3]}
    prompts |= {n: [*one, n] for n in range(1, 9)}
    prompts |= {n: [*other, 7, n] for n in range(9, 17)}
    prompts |= {17: [*range(50, 70), 1]}
    assert list(group_by_prefix(prompts)) == [
        (one, list(range(1, 9))),
        ([*other, 7], list(range(9, 17))),
        ([], [0, 17]),
    ]


def test_a_prompt_keeps_a_token_of_its_own() -> None:
    same = list(range(12))
    assert list(group_by_prefix(dict.fromkeys(range(8), same))) == [(same[:-1], list(range(8)))]
    prompts = {index: [*same, 5] for index in range(8)} | {8: same}
    assert list(group_by_prefix(prompts)) == [(same[:-1], list(range(9)))]
    assert list(group_by_prefix({})) == []
