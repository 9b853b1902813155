"""Kills at random moments change nothing about the end: the same checkpoints, records and report, each made once."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.killing import killed_often
from tests.study.conftest import Study
from tests.study.contents import contents
from tests.study.observer import KILLS, LOG, check_events
from tests.study.ray_cluster import RayCluster

ONE_SEED = {"pretrain": {"N": 0, "C": 1}, "tune": {"N": 0, "C": 1}, "seed": [0]}


class Killed:
    """A study that runs once undisturbed with `fork`, and once with kills."""

    def __init__(self, study: Study, site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.study, self.site, self.monkeypatch = study, site, monkeypatch

    def _run(self, name: str, executor: Sequence[str], kills: int, longest: float) -> list[int]:
        folder = self.study.folder
        words = ["run", self.study.path, "--output_path", folder / name, "--executor", *executor]
        return killed_often(
            words, kills=kills, longest=longest, cache=folder / f"cache-{name}", module="tests.study.kill_study",
            first=[self.site],
        )  # fmt: skip

    def survives(self, executor: Sequence[str], *, kills: int, longest: float, command_seconds: float) -> list[int]:
        """Compare both; return how the killed runs ended.

        Args:
            executor: Words after ``--executor``.
            kills: Of the runner, each at a random moment.
            longest: The latest such moment, in seconds.
            command_seconds: Each command is killed once, within so many seconds, if it takes that long.
        """
        whole, killed, log = (self.study.folder / name for name in ("whole", "killed", "events.jsonl"))
        assert self._run("whole", ["fork"], 0, 0.0) == [0]
        self.monkeypatch.setenv(LOG, str(log))
        self.monkeypatch.setenv(KILLS, f"3/{command_seconds}")
        codes = self._run("killed", executor, kills, longest)
        assert codes[-1] == 0, (self.study.folder / "cache-killed.out").read_text()
        check_events(log)
        assert contents(killed) == contents(whole)
        return codes


@pytest.fixture
def killed(study: Study, site: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Killed:
    return Killed(study, site, monkeypatch)


def test_a_study_killed_six_times_ends_as_one_that_was_not(study: Study, killed: Killed) -> None:
    study.write({"factors": ONE_SEED})
    codes = killed.survives(["fork"], kills=6, longest=6.0, command_seconds=0.4)
    assert codes.count(-signal.SIGKILL) >= 3, "the kills must fall within the runs"


@pytest.mark.slow  # reduced twin: the test above
def test_a_study_killed_twenty_times_with_local_processes_ends_as_one_that_was_not(
    study: Study, killed: Killed
) -> None:
    study.write({"factors": ONE_SEED})
    codes = killed.survives(["local", "--jobs", "2"], kills=20, longest=20.0, command_seconds=4.0)
    assert codes.count(-signal.SIGKILL) >= 10


@pytest.mark.slow  # reduced twin: `test_executors` kills a worker and removes a machine
def test_a_study_killed_five_times_with_ray_ends_as_one_that_was_not(
    study: Study, killed: Killed, monkeypatch: pytest.MonkeyPatch
) -> None:
    study.write({"factors": ONE_SEED})
    monkeypatch.setenv(LOG, str(study.folder / "events.jsonl"))  # the cluster's processes get their variables now
    monkeypatch.setenv(KILLS, "3/4.0")
    cluster = RayCluster()
    try:
        words = ["ray", "--ray_address", cluster.address]
        codes = killed.survives(words, kills=5, longest=30.0, command_seconds=4.0)
    finally:
        cluster.close()
    assert codes.count(-signal.SIGKILL) >= 3
