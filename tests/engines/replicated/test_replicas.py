"""Replicas in processes share the requests, and no answer is lost when one dies."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.engines.base import Answer, EngineDied, Failure, Request
from harness.engines.replicated.cutting import cut
from harness.engines.replicated.engine import ReplicatedEngine
from harness.engines.replicated.processes import Processes
from harness.engines.replicated.recipe import Recipe
from harness.engines.spec import EngineSpec
from harness.errors import CheckpointError, EngineError, InputError
from tests.conftest import ROOT
from tests.engines.replicated.noting import BATCH, NOTES, answer_to, install, noted
from tests.models import save_tiny_llama
from tests.waiting import running, wait_until


def requests_of(count: int, *odd: str) -> list[Request]:
    """Contexts of a few hundred characters, so that about ten fit in a chunk."""
    numbered = [f"{number:04} {'word ' * 80}" for number in range(count)]
    return [Request(kind="loglikelihood", context=context, continuation=" yes") for context in (*numbered, *odd)]


def recipe(seconds: float = 0.0, **more: object) -> Recipe:
    return Recipe(model="any", spec=EngineSpec(backend="noting", model_args={"seconds": seconds, **more}))


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file of notes; the engine `noting` is installed for the replicas."""
    monkeypatch.setenv(NOTES, str(tmp_path / "notes"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(install(tmp_path / "site")), str(ROOT)]))
    return tmp_path / "notes"


@pytest.fixture
def team(notes: Path) -> Iterator[Processes]:
    """Two processes."""
    team = Processes([{}, {}])
    yield team
    team.close()


def answers_of(engine: ReplicatedEngine, requests: list[Request]) -> dict[int, Answer | Failure]:
    """Each index must be answered once."""
    pairs = [pair for batch in engine.answer(requests) for pair in batch]
    assert len({index for index, _ in pairs}) == len(pairs) == len(requests)
    return dict(pairs)


def test_both_replicas_answer_and_no_request_is_sent_twice(team: Processes, notes: Path) -> None:
    requests = requests_of(300)
    engine = ReplicatedEngine(team, recipe(seconds=0.005))
    assert engine.description == {"engine": "noting"}
    wait_until(lambda: engine._states == ["idle", "idle"], "both are open")
    assert answers_of(engine, requests) == {index: answer_to(request) for index, request in enumerate(requests)}
    engine.close()
    asked = noted(notes)
    assert Counter(context for _, context in asked) == Counter(request.context for request in requests)
    assert len({process for process, _ in asked}) == 2


def test_a_killed_replica_is_replaced_and_no_answer_is_lost(team: Processes, notes: Path) -> None:
    requests = requests_of(400)
    engine = ReplicatedEngine(team, recipe(seconds=0.01))
    killed: list[int] = []

    def kill() -> None:
        wait_until(lambda: len({process for process, _ in noted(notes)}) == 2, "both have answered")
        killed.append(noted(notes)[0][0])
        os.kill(killed[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    assert answers_of(engine, requests) == {index: answer_to(request) for index, request in enumerate(requests)}
    killer.join()
    wait_until(lambda: len(team._running) == 2, "it is replaced")
    engine.close()
    assert killed[0] not in {process._process.pid for process in team._running.values()}
    # Only the batch that the killed replica sent last may be lost before it arrives.
    times = Counter(context for _, context in noted(notes))
    assert times.total() - len(times) <= BATCH
    assert max(times.values()) <= 2


@pytest.mark.parametrize(("word", "reason"), [("deadly", "has ended"), ("odd", "RuntimeError: an odd request")])
def test_a_request_that_kills_replicas_fails_alone(word: str, reason: str, team: Processes, notes: Path) -> None:
    requests = requests_of(30, f"0007 {word}")
    engine = ReplicatedEngine(team, recipe())
    answers = answers_of(engine, requests)
    engine.close()
    failure = answers.pop(30)
    assert isinstance(failure, Failure)
    assert failure.reason == "error"
    assert reason in failure.message
    assert answers == {index: answer_to(request) for index, request in enumerate(requests[:30])}


def test_batches_arrive_before_their_chunk_is_done(team: Processes) -> None:
    """The requests fit into one chunk, whose last batch never comes."""
    requests = requests_of(8, "0008 odd")
    assert len(cut(requests)) == 1
    engine = ReplicatedEngine(team, recipe())
    batches = engine.answer(requests)
    assert [sorted(index for index, _ in next(batches)) for _ in range(2)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    engine.close()


def test_what_a_replica_answered_before_it_died_is_not_sent_again(team: Processes, notes: Path) -> None:
    """All requests fit into one chunk, whose last request kills replicas."""
    requests = requests_of(8, "0008 deadly")
    engine = ReplicatedEngine(team, recipe())
    answers = answers_of(engine, requests)
    engine.close()
    assert isinstance(answers.pop(8), Failure)
    assert answers == {index: answer_to(request) for index, request in enumerate(requests[:8])}
    assert Counter(context for _, context in noted(notes)) == Counter(request.context for request in requests[:8])


def test_an_engine_that_never_answers_ends_the_run(team: Processes) -> None:
    requests = requests_of(0, *(f"{number} odd {'word ' * 900}" for number in range(40)))
    engine = ReplicatedEngine(team, recipe())
    with pytest.raises(EngineDied, match="replicas died without an answer; the last reason: RuntimeError"):
        answers_of(engine, requests)
    engine.close()


def test_an_argument_that_the_engine_refuses_is_an_input_error(team: Processes) -> None:
    with pytest.raises(InputError, match="unknown script"):
        ReplicatedEngine(team, Recipe(model="oracel", spec=EngineSpec(backend="scripted")))


def test_models_follow_each_other_on_the_same_replicas(team: Processes, notes: Path) -> None:
    for _ in range(3):
        engine = ReplicatedEngine(team, recipe(seconds=0.005))
        wait_until(lambda engine=engine: engine._states == ["idle", "idle"], "both are open")  # type: ignore[misc]
        answers_of(engine, requests_of(200))
        engine.close()
    assert len({process for process, _ in noted(notes)}) == 2


def test_a_replica_refuses_files_that_differ_from_the_drivers(team: Processes, tmp_path: Path) -> None:
    model = save_tiny_llama(tmp_path / "tiny")
    digests = ("sha256:" + "0" * 64, None)
    with pytest.raises(InputError, match="differ from those that this run began with"):
        ReplicatedEngine(team, Recipe(model=str(model), spec=EngineSpec(backend="hf"), digests=digests))
    assert issubclass(CheckpointError, InputError)


def test_replicas_end_with_the_driver_even_in_the_middle_of_a_chunk(team: Processes) -> None:
    engine = ReplicatedEngine(team, recipe(seconds=60))
    wait_until(lambda: len(team._running) == 2, "both run")
    pids = [process._process.pid for process in team._running.values()]
    waiting = threading.Thread(target=lambda: next(iter(engine.answer(requests_of(100)))), daemon=True)
    waiting.start()
    wait_until(lambda: "busy" in engine._states, "one is busy")
    engine.close()
    team.close()
    assert not any(map(running, pids))


def test_if_no_replica_can_be_opened_there_is_one_error(notes: Path) -> None:
    team = Processes([{"PYTHONHOME": "/nowhere"}])
    with pytest.raises(EngineError, match="no replica can be opened"):
        ReplicatedEngine(team, recipe())
    team.close()
