"""Replicas that die at any time: each request gets one answer, and only a request that kills replicas fails."""

from __future__ import annotations

import random
import threading
from typing import Any

import pytest

from harness.engines.base import Answer, EngineDied, Failure, Request
from harness.engines.replicated.engine import ReplicatedEngine
from harness.engines.replicated.recipe import Recipe
from harness.engines.replicated.team import ReplicaDied
from harness.engines.replicated.worker import Reply
from harness.engines.spec import EngineSpec

RECIPE = Recipe(model="any", spec=EngineSpec())
DEADLY, ANSWER = "deadly", Answer(text="yes")


class FragileReplica:
    """Dies of deadly requests, and at random."""

    def __init__(self, rng: random.Random, share: float) -> None:
        self._rng = rng
        self._share = share

    def call(self, name: str, *arguments: Any) -> Reply:
        if self._rng.random() < self._share:
            raise ReplicaDied("by chance")
        if name != "answer":
            return "ok", {}
        if any(request.context == DEADLY for request in arguments[0]):
            raise ReplicaDied("of a deadly request")
        return "ok", [(index, ANSWER) for index in range(len(arguments[0]))]


class FragileTeam:
    """Replicas in threads."""

    def __init__(self, size: int, seed: int, share: float) -> None:
        self.turns = [threading.Lock() for _ in range(size)]
        self._rng, self._share = random.Random(seed), share

    def launch(self, place: int) -> FragileReplica:
        return FragileReplica(random.Random(self._rng.random()), self._share)

    def renew(self, place: int) -> None:
        pass

    def abandon(self, place: int) -> None:
        pass

    def close(self, exit_code: int) -> None:
        pass


def _answers(team: FragileTeam, requests: list[Request]) -> list[tuple[int, Answer | Failure]]:
    engine = ReplicatedEngine(team, RECIPE)
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
        assert isinstance(answer, Failure) == (requests[index].context == DEADLY)


@pytest.mark.parametrize("seed", range(30))
def test_random_deaths_lose_and_repeat_no_request(seed: int) -> None:
    requests = [Request(kind="generate_until", context=f"{n} {'word ' * 90}", generation="{}") for n in range(200)]
    pairs = _answers(FragileTeam(3, seed, share=0.2), requests)
    assert sorted(index for index, _ in pairs) == list(range(len(requests)))


def test_replicas_that_always_die_end_the_run() -> None:
    requests = [Request(kind="generate_until", context=f"{n} {'word ' * 900}", generation="{}") for n in range(50)]
    team = FragileTeam(2, 0, share=0.0)
    engine = ReplicatedEngine(team, RECIPE)
    team._share = 1.0
    deadly = [Request(kind="generate_until", context=DEADLY, continuation=r.context, generation="{}") for r in requests]
    with pytest.raises(EngineDied, match="replicas died without an answer"):
        list(engine.answer(deadly))
    engine.close()
