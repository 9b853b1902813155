"""Replicas that die at any time: each request gets its answer once, and only a request that kills replicas fails."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from harness.engines.base import Answer, EngineDied, Failure, Request
from harness.engines.replicated.cutting import cut
from harness.engines.replicated.engine import ReplicatedEngine
from harness.engines.replicated.recipe import Recipe
from harness.engines.replicated.team import ReplicaDied
from harness.engines.replicated.worker import Reply
from harness.engines.spec import EngineSpec

RECIPE = Recipe(model="any", spec=EngineSpec())
DEADLY = "deadly"


class FragileReplica:
    """Answers one to five requests at a time. Dies of deadly requests, and at random.

    Args:
        rng: For the size of each batch and for deaths.
        share: Of the batches after which it dies.
        answered: Counts the answers to each context.
        sent: Takes the contexts that it is sent together.
    """

    def __init__(self, rng: random.Random, share: float, answered: Counter[str], sent: set[frozenset[str]]) -> None:
        self._rng = rng
        self._share = share
        self._answered = answered
        self._sent = sent

    def call(self, name: str, *arguments: Any) -> Iterator[Reply]:
        self._may_die()
        if name == "answer":
            self._sent.add(frozenset(request.context for request in arguments[0]))
        for batch in self._batches(arguments[0]) if name == "answer" else ():
            if any(request.context == DEADLY for _, request in batch):
                raise ReplicaDied("of a deadly request")
            self._answered.update(request.context for _, request in batch)
            yield "batch", [(place, Answer(text=request.context)) for place, request in batch]
            self._may_die()
        yield "ok", {}

    def _batches(self, requests: list[Request]) -> Iterator[list[tuple[int, Request]]]:
        left = list(enumerate(requests))
        self._rng.shuffle(left)
        while left:
            size = self._rng.randint(1, 5)
            yield left[:size]
            del left[:size]

    def _may_die(self) -> None:
        if self._rng.random() < self._share:
            raise ReplicaDied("by chance")


class FragileTeam:
    """Replicas in threads."""

    def __init__(self, size: int, seed: int, share: float) -> None:
        self.answered: Counter[str] = Counter()
        self.sent: set[frozenset[str]] = set()
        self.turns = [threading.Lock() for _ in range(size)]
        self._rng, self._share = random.Random(seed), share

    def launch(self, place: int) -> FragileReplica:
        return FragileReplica(random.Random(self._rng.random()), self._share, self.answered, self.sent)

    def renew(self, place: int) -> None:
        pass

    def abandon(self, place: int) -> None:
        pass

    def close(self, exit_code: int) -> None:
        pass


def _answers(team: FragileTeam, requests: list[Request], recipe: Recipe = RECIPE) -> list[tuple[int, Answer | Failure]]:
    engine = ReplicatedEngine(team, recipe)
    try:
        return [pair for batch in engine.answer(requests) for pair in batch]
    finally:
        engine.close()


@pytest.mark.parametrize("seed", range(30))
def test_each_request_gets_one_answer_and_only_the_deadly_one_fails(seed: int) -> None:
    rng = random.Random(seed)
    requests = [
        Request(kind="generate_until", context=f"{number} {'word ' * rng.randint(0, 90)}", generation="{}")
        for number in range(rng.randint(1, 300))
    ]
    requests.insert(rng.randrange(len(requests) + 1), Request(kind="generate_until", context=DEADLY, generation="{}"))
    pairs = _answers(FragileTeam(rng.randint(1, 5), seed, share=0.0), requests)
    assert sorted(index for index, _ in pairs) == list(range(len(requests)))
    for index, answer in pairs:
        if requests[index].context == DEADLY:
            assert isinstance(answer, Failure)
        else:
            assert answer == Answer(text=requests[index].context)


@pytest.mark.parametrize("seed", range(30))
def test_random_deaths_lose_and_repeat_no_request(seed: int) -> None:
    requests = [Request(kind="generate_until", context=f"{n} {'word ' * 90}", generation="{}") for n in range(200)]
    team = FragileTeam(3, seed, share=0.2)
    pairs = _answers(team, requests)
    assert sorted(index for index, _ in pairs) == list(range(len(requests)))
    for index, answer in pairs:  # a request fails if two replicas die on it by chance
        context = requests[index].context
        assert isinstance(answer, Failure) or answer == Answer(text=context)
        assert team.answered[context] == isinstance(answer, Answer), "what is left of a chunk is sent again, no more"
    assert len([answer for _, answer in pairs if isinstance(answer, Failure)]) < 20


def test_a_model_computes_whole_chunks_again_and_gives_each_answer_once() -> None:
    requests = [Request(kind="generate_until", context=f"{n} {'word ' * 90}", generation="{}") for n in range(200)]
    chunks = {frozenset(requests[index].context for index in chunk.indices) for chunk in cut(requests, 3)}
    most = 0
    for seed in range(10):
        team = FragileTeam(3, seed, share=0.1)
        pairs = _answers(team, requests, replace(RECIPE, digests=("sha256:0", None)))
        assert sorted(index for index, _ in pairs) == list(range(len(requests)))
        answered = [(index, answer) for index, answer in pairs if isinstance(answer, Answer)]
        assert all(answer == Answer(text=requests[index].context) for index, answer in answered)
        assert len(answered) > 180
        assert {sent for sent in team.sent if len(sent) > 1} <= chunks
        most = max(most, *team.answered.values())
    assert most > 1, "a replica died after a part of a chunk, and all of it was computed again"


def test_replicas_that_always_die_end_the_run() -> None:
    requests = [Request(kind="generate_until", context=f"{n} {'word ' * 900}", generation="{}") for n in range(50)]
    team = FragileTeam(2, 0, share=0.0)
    engine = ReplicatedEngine(team, RECIPE)
    team._share = 1.0
    deadly = [Request(kind="generate_until", context=DEADLY, continuation=r.context, generation="{}") for r in requests]
    with pytest.raises(EngineDied, match="replicas died without an answer"):
        list(engine.answer(deadly))
    engine.close()
