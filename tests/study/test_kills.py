"""Kills at random moments change nothing about the end: the same checkpoints, records and report, each made once."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.study.conftest import Study
from tests.study.contents import contents
from tests.study.forks import Forks
from tests.study.observer import KILLS, LOG, check_events
from tests.study.ray_cluster import RayCluster

SEED = 3  # of the moments
ONE_SEED = {"pretrain": {"N": 0, "C": 1}, "tune": {"N": 0, "C": 1}, "seed": [0]}


class Killed:
    """A study that runs once undisturbed with `fork`, and once with kills."""

    def __init__(self, study: Study, forks: Forks, monkeypatch: pytest.MonkeyPatch) -> None:
        self.study, self.forks, self.monkeypatch = study, forks, monkeypatch

    def _run(self, name: str, executor: Sequence[str], kill_after: float | None = None) -> int:
        folder = self.study.folder
        environment = {**os.environ, "HARNESS_CACHE_DIR": str(folder / f"cache-{name}")}
        if name == "whole":
            environment = {name: value for name, value in environment.items() if name not in (LOG, KILLS)}
        words = ["run", self.study.path, "--output_path", folder / name, "--executor", *executor]
        return self.forks.run(words, environment, folder, kill_after).returncode

    def survives(self, executor: Sequence[str], *, kills: int, longest: float, command_seconds: float) -> int:
        """Compare both; return how many kills met a run that had not ended.

        Args:
            executor: Words after ``--executor``.
            kills: Of the runner, each at a random moment.
            longest: The latest such moment, in seconds.
            command_seconds: Each command is killed once, within so many seconds, if it takes that long.
        """
        whole, killed, log = (self.study.folder / name for name in ("whole", "killed", "events.jsonl"))
        assert self._run("whole", ["fork"]) == 0
        self.monkeypatch.setenv(LOG, str(log))
        self.monkeypatch.setenv(KILLS, f"{SEED}/{command_seconds}")
        rng = random.Random(SEED)
        codes = [self._run("killed", executor, rng.uniform(0, longest)) for _ in range(kills)]
        assert self._run("killed", executor) == 0, (self.study.folder / "printed.err").read_text()
        check_events(log)
        assert contents(killed) == contents(whole)
        return codes.count(-signal.SIGKILL)


@pytest.fixture
def killed(study: Study, forks: Forks, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Killed:
    return Killed(study, forks, monkeypatch)


def test_a_study_killed_five_times_ends_as_one_that_was_not(study: Study, killed: Killed) -> None:
    study.write({"factors": ONE_SEED})
    met = killed.survives(["fork"], kills=5, longest=4.0, command_seconds=0.4)
    assert met >= 3, "the kills must fall within the runs"


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_trainings_in_local_processes_survive_kills(study: Study, killed: Killed, kills: int) -> None:
    study.write({"factors": ONE_SEED, "evaluate": [], "compare": None})
    met = killed.survives(["local", "--jobs", "2"], kills=kills, longest=1.5, command_seconds=0.5)
    assert met >= 3, "the kills must fall within the runs"


@pytest.mark.slow  # reduced twins: the tests above
def test_a_study_killed_twenty_times_with_local_processes_ends_as_one_that_was_not(
    study: Study, killed: Killed
) -> None:
    study.write({"factors": ONE_SEED})
    met = killed.survives(["local", "--jobs", "2"], kills=20, longest=20.0, command_seconds=4.0)
    assert met >= 10


@pytest.mark.slow  # reduced twin: `test_executors` kills a worker and removes a machine
@pytest.mark.parametrize("changes", [{"evaluate": [], "compare": None}, {}], ids=["trainings", "all"])
def test_a_study_killed_with_ray_ends_as_one_that_was_not(
    changes: Mapping[str, Any], study: Study, killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write({"factors": ONE_SEED, **changes})
    monkeypatch.setenv(LOG, str(study.folder / "events.jsonl"))  # the cluster's processes get their variables now
    monkeypatch.setenv(KILLS, f"{SEED}/3.0")
    cluster = RayCluster()
    try:
        words = ["ray", "--ray_address", cluster.address]
        met = killed.survives(words, kills=5, longest=12.0, command_seconds=3.0)
    finally:
        cluster.close()
    assert met >= 3
