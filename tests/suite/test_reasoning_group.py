"""The whole suite in one command, on every benchmark whose data is here; in its full size with the real model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.suite.catalogue import Catalogue
from harness.suite.selection import tasks_without_data
from tests.conftest import HarnessCommand


@pytest.mark.parametrize(
    ("model", "backend", "limit"),
    [("uniform", "scripted", 2), pytest.param("smollm2", "hf", 20, marks=pytest.mark.slow)],
)
def test_every_task_of_reasoning_whose_data_is_here_runs(
    model: str,
    backend: str,
    limit: int,
    request: pytest.FixtureRequest,
    data_dir: Path,
    bubblewrap: str,
    harness_here: HarnessCommand,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(data_dir))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    without_data = tasks_without_data("reasoning", Catalogue())
    here = {task.name for task in Catalogue().tasks_below("reasoning")} - without_data.keys()
    assert len(here) > len(without_data), "most of the suite's data is in the data folder"
    named = request.getfixturevalue("smollm2") if model == "smollm2" else model
    words = ("--model", named, "--backend", backend, "--tasks", "reasoning", "--limit", limit)
    done = harness_here("eval", *words, "--output_path", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    (record,) = (tmp_path / "runs").rglob("run.json")
    tasks = json.loads(record.read_text())["tasks"]
    assert tasks.keys() == here
    assert {name: task["items"] for name, task in tasks.items()} == dict.fromkeys(here, limit)
    assert {name: task["failed"] for name, task in tasks.items()} == dict.fromkeys(here, 0)
    for name in without_data:
        assert f"{name} of reasoning left out" in done.stderr


@pytest.mark.parametrize("group", ["reasoning", "paper"])
def test_a_group_takes_examples_where_its_tasks_have_some(
    group: str, data_dir: Path, bubblewrap: str, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(data_dir))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    words = ("eval", "--model", "uniform", "--backend", "scripted", "--limit", 1, "--dry_run")
    done = harness_here(*words, "--tasks", group, "--num_fewshot", 5)
    assert done.returncode == 0, done.stderr
    done = harness_here(*words, "--tasks", "logiqa_en_letter", "--num_fewshot", 9)
    assert done.returncode == 2
    assert "--num_fewshot 9: logiqa_en_letter has 5 examples set apart; give 5 or fewer" in done.stderr
