"""The reason for a failed start is found, with scripted processes: the reduced twin of test_vllm_processes.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from harness.engines.base import EngineDied
from harness.engines.vllm import client
from harness.engines.vllm.client import Engines
from harness.errors import EngineError

LOST = "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"


class Scripted:
    """A process that answers its first message with what `opened` returns for its environment."""

    started: list[Mapping[str, str]]

    def __init__(self, arguments: Mapping[str, Any], device: str, environment: Mapping[str, str]) -> None:
        self.environment = environment
        self.started.append(environment)

    def answer(self) -> dict[str, Any]:
        if self.environment.get("VLLM_ENABLE_V1_MULTIPROCESSING") == "0":
            return self.in_one_process()
        raise EngineDied(LOST)

    def in_one_process(self) -> dict[str, Any]:
        raise EngineDied("ValueError: no room for the cache")

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "VllmProcess", Scripted)
    monkeypatch.setattr(Scripted, "started", [], raising=False)


def test_an_engine_that_does_not_start_is_started_once_more_and_its_reason_is_shown() -> None:
    with pytest.raises(EngineError, match="no room for the cache"):
        Engines({}, "auto", [{"CUDA_VISIBLE_DEVICES": "1"}])
    assert Scripted.started == [
        {"CUDA_VISIBLE_DEVICES": "1"},
        {"CUDA_VISIBLE_DEVICES": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0"},
    ]


def test_an_engine_that_starts_in_one_process_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scripted, "in_one_process", lambda self: {"device": "cpu"})
    assert Engines({}, "auto", [{}]).description == {"device": "cpu"}


def test_the_second_reason_is_final(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost_again(self: Scripted) -> dict[str, Any]:
        raise EngineDied(LOST)

    monkeypatch.setattr(Scripted, "in_one_process", lost_again)
    with pytest.raises(EngineError, match="initialization failed"):
        Engines({}, "auto", [{}])
    assert len(Scripted.started) == 2
