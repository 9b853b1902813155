"""Attention over a pack equals dense attention with the mask of the trees, on the CPU's way and on the GPU's."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence

import pytest
import scipy.linalg
import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from harness.engines.hf import attention
from harness.engines.hf.attention import CannotPackError, Layout, Part, States, attend
from harness.engines.hf.prefix_tree import TokenSequence, TokenTree, build_trees

HEADS, KEY_HEADS, HEAD_DIM, VALUE_DIM = 4, 2, 8, 8
CPU = torch.device("cpu")

Way = Callable[[Sequence[TokenTree]], Iterable[Part]]
WAYS: dict[str, Way] = {
    "one by one": lambda trees: attention._one_by_one(trees, torch.float32),
    "padded to one batch": lambda trees: attention._padded(trees, CPU, torch.float32),
}


def random_trees(depth: int, seed: int) -> list[TokenTree]:
    """Contexts of different lengths with forks in different places, behind a prefix of `depth` tokens."""
    drawn = random.Random(seed)
    prefix = list(range(depth))
    sequences = []
    for item in range(4):
        context = [100 * item + n for n in range(1, drawn.randrange(2, 12))]
        for _ in range(drawn.randrange(1, 5)):
            after = [drawn.randrange(3) for _ in range(drawn.randrange(0, 5))]
            sequences.append(TokenSequence(tokens=[*prefix, *context, *after], scored=len(after) + 1))
    members = sorted(range(len(sequences)), key=lambda index: list(sequences[index].tokens))
    return build_trees(sequences, members, depth=depth, budget_tokens=10_000)


def dense(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Softmax attention written out; [1, heads, queries, dim] -> [1, queries, heads, dim]."""
    keys, values = (states.repeat_interleave(HEADS // KEY_HEADS, dim=1) for states in (keys, values))
    scores = (query @ keys.transpose(-1, -2) / HEAD_DIM**0.5).masked_fill(~mask, -torch.inf)
    attended: Tensor = scores.softmax(-1) @ values
    return attended.transpose(1, 2)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("depth", [0, 1, 7])
@pytest.mark.parametrize("seed", range(5))
def test_a_pack_attends_as_its_mask_says(way: str, depth: int, seed: int) -> None:
    trees = random_trees(depth, seed)
    size = sum(len(tree.tokens) for tree in trees)
    torch.manual_seed(seed)
    query = torch.randn(1, HEADS, size, HEAD_DIM)
    key, value = torch.randn(1, KEY_HEADS, size, HEAD_DIM), torch.randn(1, KEY_HEADS, size, VALUE_DIM)
    before = (torch.randn(1, KEY_HEADS, depth, HEAD_DIM), torch.randn(1, KEY_HEADS, depth, VALUE_DIM))
    prefix = States([before[0]], [before[1]]) if depth else None
    packed = Layout(list(WAYS[way](trees)), prefix, keep=None, longest=99)
    attended, _ = attend(torch.nn.Identity(), query, key, value, None, packed=packed)
    own = torch.from_numpy(scipy.linalg.block_diag(*(tree.ancestors() for tree in trees)).astype(bool))
    mask = torch.cat([torch.ones(size, depth, dtype=torch.bool), own], dim=1)
    expected = dense(query, torch.cat([before[0], key], 2), torch.cat([before[1], value], 2), mask)
    torch.testing.assert_close(attended, expected, atol=1e-5, rtol=1e-5)


def test_a_prefixs_states_are_stored_joined_to_its_parents() -> None:
    tree = TokenTree(depth=3)
    tree.extend([5, 6])
    before = States([torch.randn(1, KEY_HEADS, 3, HEAD_DIM)], [torch.randn(1, KEY_HEADS, 3, VALUE_DIM)])
    joined = States()
    packed = attention.layout([tree], prefix=before, device=CPU, dtype=torch.float32, keep=joined)
    query = torch.randn(1, HEADS, 2, HEAD_DIM)
    key, value = torch.randn(1, KEY_HEADS, 2, HEAD_DIM), torch.randn(1, KEY_HEADS, 2, VALUE_DIM)
    attend(torch.nn.Identity(), query, key, value, None, packed=packed)
    assert joined.length == 5
    assert torch.equal(joined.keys[0], torch.cat([before.keys[0], key], 2))
    assert torch.equal(joined.values[0], torch.cat([before.values[0], value], 2))


@pytest.mark.parametrize("extra", [{"s_aux": torch.zeros(1)}, {"position_bias": torch.zeros(1)}, {"sliding_window": 4}])
def test_attention_that_packs_do_not_support_is_refused(extra: dict[str, object]) -> None:
    tree = TokenTree(depth=0)
    tree.extend([1, 2, 3, 4, 5])
    packed = attention.layout([tree], prefix=None, device=CPU, dtype=torch.float32)
    states = torch.zeros(1, 1, 5, 2)
    with pytest.raises(CannotPackError):
        attend(torch.nn.Identity(), states, states, states, None, packed=packed, **extra)  # type: ignore[arg-type]


def operations(run: Callable[[], object]) -> set[str]:
    """Names of all of torch's operations that run, those within others included."""
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        run()
    return {event.name for event in profiled.events()}


@pytest.mark.parametrize("depth", [0, 7])
def test_attention_over_a_padded_batch_takes_no_indices_from_booleans(depth: int) -> None:
    """On a GPU the host would wait for them, in each layer."""
    trees = random_trees(depth, seed=1)
    size = sum(len(tree.tokens) for tree in trees)
    states = torch.randn(1, KEY_HEADS, size, HEAD_DIM)
    prefix = States([states[:, :, :1].repeat(1, 1, depth, 1)], [states[:, :, :1].repeat(1, 1, depth, 1)])
    packed = Layout(list(WAYS["padded to one batch"](trees)), prefix if depth else None, keep=None, longest=99)
    assert any(part.real is not None for part in packed.parts)
    ran = operations(lambda: attend(torch.nn.Identity(), states, states, states, None, packed=packed))
    assert "aten::scaled_dot_product_attention" in ran
    assert "aten::nonzero" not in ran
    assert "aten::nonzero" in operations(lambda: states[states > 0]), "indices from booleans must be detected"


@pytest.mark.parametrize("masked", [False, True])
def test_repeated_key_heads_change_no_result(masked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    query = torch.randn(2, HEADS, 5, HEAD_DIM)
    states = torch.randn(2, KEY_HEADS, 5, HEAD_DIM)
    mask = torch.randn(2, 1, 5, 5) if masked else None
    grouped = attention._sdpa(query, states, states, mask, None)
    monkeypatch.setattr(attention, "_needs_whole_heads", lambda query, mask: True)
    torch.testing.assert_close(attention._sdpa(query, states, states, mask, None), grouped, atol=1e-6, rtol=1e-6)
