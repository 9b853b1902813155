"""A study of the stage `fake`, which costs a second, in a folder of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, HarnessCommand
from tests.study.forks import Forks
from tests.study.package import install
from tests.tasks_for_tests import write_tasks


@pytest.fixture(scope="session")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distribution of `tests.study.package`."""
    return install(tmp_path_factory.mktemp("fakes") / "site")


@pytest.fixture
def site(fakes: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same distribution, on the path of this process and of its children."""
    monkeypatch.setattr(sys, "path", [str(fakes), *sys.path])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(fakes), str(ROOT)]))
    return fakes


@pytest.fixture(scope="session")
def forks(fakes: Path) -> Iterator[Forks]:
    """A process whose forks run `harness`."""
    forks = Forks(fakes)
    yield forks
    forks.close()


@pytest.fixture
def harness_fork(forks: Forks, own_cache: Path, site: Path, tmp_path: Path) -> HarnessCommand:
    """Run `harness` in a fork of that process, with this process's variables and an empty journal."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        return forks.run(words, {**os.environ, "TOKENIZERS_PARALLELISM": "false"}, tmp_path)

    return run


@pytest.fixture
def study(tmp_path: Path, site: Path) -> Study:
    """A 2 x 2 study with two seeds: 4 + 8 checkpoints, 8 of them evaluated, a comparison and a leaderboard."""
    tasks = write_tasks(tmp_path / "tasks", items=6)
    return Study(tmp_path, tasks)


class Study:
    """An experiment file that a test may change."""

    def __init__(self, folder: Path, tasks: Path) -> None:
        self.folder, self.tasks, self.path = folder, tasks, folder / "experiment.yaml"
        (folder / "data.jsonl").write_text('{"text": "a cat"}\n')
        self.fields: dict[str, Any] = {
            "name": "small",
            "factors": {"pretrain": {"N": 0, "C": 1}, "tune": {"N": 0, "C": 1}, "seed": [0, 1]},
            "stages": {
                "base": {
                    "stage": "fake",
                    "seed": "{seed}",
                    "data": {"path": str(folder / "data.jsonl"), "code": "{pretrain}"},
                },
                "tuned": {"stage": "fake", "from": "base", "seed": "{seed}", "code": "{tune}", "learning_rate": 0.1},
            },
            "evaluate": {"tasks": ["t_choice"], "stages": ["tuned"], "flags": {"include_path": str(tasks)}},
            "compare": {"stage": "tuned"},
        }
        self.write()

    def write(self, changes: Mapping[str, Any] | None = None) -> Path:
        """Write the file, with top-level fields replaced."""
        self.fields |= changes or {}
        self.path.write_text(yaml.safe_dump(self.fields, sort_keys=False))
        return self.path
