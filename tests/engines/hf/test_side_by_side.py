"""Packs of a model side by side: they share the budget, prefixes run alone, scores equal those of one thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from harness.engines.base import Answer, Scored
from harness.engines.hf.engine import HfEngine
from harness.engines.hf.prefix_tree import TokenTree
from harness.engines.hf.probe import side_by_side
from harness.engines.hf.runner import Budget, Runner
from harness.engines.hf.span_scorer import SpanScorer
from harness.engines.hf.streams import Streams
from tests.engines.hf.families import MAX_LENGTH, save_family
from tests.engines.hf.test_packed import WORDS, answers, loglikelihood, mixed_requests, open_packed


class Watched:
    """Records what an engine's forward passes do at the same time."""

    def __init__(self, engine: HfEngine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.running: list[int] = []
        self.began = threading.Condition()
        self.packs: list[tuple[int, int]] = []  # sequences, and tokens that were computed at once, its own included
        self.prefixes: list[int] = []  # tokens computed at the same time
        forward = engine._forward
        self.pack, self.prefix = forward.pack, forward.prefix
        monkeypatch.setattr(forward, "pack", self.watched_pack)
        monkeypatch.setattr(forward, "prefix", self.watched_prefix)

    def watched_pack(self, trees: Sequence[TokenTree], *arguments: Any, **keywords: Any) -> dict[int, Scored]:
        tokens = sum(len(tree.tokens) for tree in trees)
        with self.began:
            self.running.append(tokens)
            self.packs.append((sum(len(tree.reads) for tree in trees), sum(self.running)))
            self.began.notify_all()
            if len(self.packs) % 2 and threading.current_thread().name == "stream":
                # Every other pack waits for another beside it; the last pack has none and gives up after the time.
                self.began.wait_for(lambda: len(self.running) > 1, timeout=1)
        try:
            return self.pack(trees, *arguments, **keywords)
        finally:
            with self.began:
                self.running.remove(tokens)

    def watched_prefix(self, tokens: Sequence[int], **keywords: Any) -> Any:
        self.prefixes.append(sum(self.running))
        states = self.prefix(tokens, **keywords)
        self.prefixes.append(sum(self.running))
        return states


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("two_threads")
def test_packs_side_by_side_share_the_budget_and_a_large_context_is_computed_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = open_packed(save_family(tmp_path, "llama"), batch_tokens=100)
    watched = Watched(engine, monkeypatch)
    long = [f"{item} " + "a cat sat " * 22 for item in ("dog", "mat", "red")]  # 69 tokens, each with four choices
    short = [f"the {item} " + "dog ran " * 5 for item in ("cat", "big", "who", "was")]
    requests = [loglikelihood(context, f" {choice}") for context in long + short for choice in WORDS[:4]]
    answers(engine, requests)
    assert max(at_once for _, at_once in watched.packs) <= 100
    assert max(at_once for _, at_once in watched.packs) > 50
    assert sum(sequences for sequences, _ in watched.packs) == len(requests)
    assert len(watched.packs) <= len(long) + len(short), "no context is computed for each of its choices"


@pytest.mark.usefixtures("two_threads")
def test_a_prefix_is_computed_with_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = open_packed(save_family(tmp_path, "llama"), batch_tokens=128)
    watched = Watched(engine, monkeypatch)
    requests = [
        loglikelihood("a cat sat on the mat " * 4 + f"{subject} " + "big red dog " * 8 + f"{word} {item} " * 4, " cold")
        for subject in ("cat", "dog", "house")
        for word in WORDS[:10]
        for item in WORDS[:10]
    ]
    answers(engine, requests)
    assert len(watched.prefixes) >= 2 * 3, "each subject has a prefix"
    assert not any(watched.prefixes)
    assert max(at_once for _, at_once in watched.packs) <= 128


class Forgetful(nn.Module):
    """A layer that stores its input in an attribute for a while, as the code of some models does.

    Two passes side by side meet there, so that the second always overwrites what the first has stored.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.meet = threading.Barrier(2, timeout=60)

    def forward(self, hidden: Tensor, **arguments: Any) -> Any:
        self.kept = hidden
        if threading.current_thread().name == "stream":
            self.meet.wait()
        return self.layer(self.kept, **arguments)


@pytest.mark.usefixtures("two_threads")
def test_a_model_that_keeps_tensors_of_a_pass_is_never_run_side_by_side(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_packed(save_family(tmp_path, "llama"))
    streams, forward = Streams(), engine._forward
    assert side_by_side(forward, streams)
    model: Any = forward.model
    model.model.layers[0] = Forgetful(model.model.layers[0])
    with caplog.at_level(logging.WARNING):
        assert not side_by_side(forward, streams)
    assert "one after the other" in caplog.text
    assert SpanScorer(forward, budget=Budget(tokens=100, scored=100), longest_packed=MAX_LENGTH)._streams is None
    assert not model.model.layers[0].meet.broken


@pytest.mark.usefixtures("two_threads")
def test_one_thread_and_two_streams_give_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    requests = mixed_requests(5)
    path = save_family(tmp_path, "llama")
    threads: set[str] = set()
    original = Runner._attempt

    def noted(runner: Runner[Any], *arguments: Any) -> Any:
        threads.add(threading.current_thread().name)
        return original(runner, *arguments)

    monkeypatch.setattr(Runner, "_attempt", noted)
    engine = open_packed(path)
    two = answers(engine, requests)
    assert "stream" in threads
    threads.clear()
    torch.set_num_threads(1)
    one = answers(engine, requests)
    assert threads == {threading.main_thread().name}
    for a, b in zip(one, two, strict=True):
        assert isinstance(a, Answer)
        assert isinstance(b, Answer)
        assert a.logprob == pytest.approx(b.logprob, abs=1e-4, rel=0)
