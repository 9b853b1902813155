"""The whole suite in one command, with the real model, on every benchmark whose data is here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.catalogue import Catalogue
from harness.suite_check import lacking, tasks_below
from tests.conftest import HarnessCommand


@pytest.mark.parametrize("limit", [1, pytest.param(20, marks=pytest.mark.slow)])
def test_every_task_of_reasoning_whose_data_is_here_runs(
    limit: int,
    data_dir: Path,
    smollm2: Path,
    bubblewrap: str,
    harness_here: HarnessCommand,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(data_dir))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    absent = lacking("reasoning", Catalogue())
    here = {task.name for task in tasks_below("reasoning", Catalogue().entries)} - absent.keys()
    assert len(here) > len(absent), "most of the suite's data is in the data folder"
    done = harness_here(
        "eval", "--model", smollm2, "--tasks", "reasoning", "--limit", limit, "--output_path", tmp_path / "runs"
    )
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / "runs").rglob("run.json")
    tasks = json.loads(record.read_text())["tasks"]
    assert tasks.keys() == here
    assert {name: task["items"] for name, task in tasks.items()} == dict.fromkeys(here, limit)
    assert {name: task["failed"] for name, task in tasks.items()} == dict.fromkeys(here, 0)
    for name in absent:
        assert f"{name} of reasoning left out" in done.stderr
