"""The whole suite in one command, on every benchmark whose data is here; in its full size with the real model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.data.manifest import find, load_manifest
from harness.suite.catalogue import Catalogue
from harness.suite.selection import tasks_without_data
from tests.conftest import HarnessCommand
from tests.synthetic import Project

from .suites import FETCHED


def check_the_group_runs(run: HarnessCommand, output: Path, model: object, backend: str, limit: int) -> None:
    absent = tasks_without_data("reasoning", Catalogue())
    here = {task.name for task in Catalogue().tasks_below("reasoning")} - absent.keys()
    assert len(here) > len(absent) > 0, "most of the suite's data is in the data folder"
    words = ("--model", model, "--backend", backend, "--tasks", "reasoning", "--limit", limit)
    done = run("eval", *words, "--output_path", output)
    assert done.returncode == 0, done.stderr
    (record,) = output.rglob("run.json")
    tasks = json.loads(record.read_text())["tasks"]
    assert tasks.keys() == here
    assert {name: task["items"] for name, task in tasks.items()} == dict.fromkeys(here, limit)
    assert {name: task["failed"] for name, task in tasks.items()} == dict.fromkeys(here, 0)
    for name in absent:
        assert f"{name} of reasoning left out" in done.stderr


def test_every_reasoning_task_with_data_runs(
    synthetic_project: Project, bubblewrap: str, harness_here: HarnessCommand, tmp_path: Path
) -> None:
    manifest = load_manifest(synthetic_project.tasks)
    for name in FETCHED:
        (synthetic_project.data / find(name, manifest).path).unlink()
    check_the_group_runs(harness_here, tmp_path / "runs", "uniform", "scripted", 2)


@pytest.mark.slow
def test_every_task_of_reasoning_whose_public_data_is_here_runs_with_the_real_model(
    smollm2: Path,
    data_dir: Path,
    bubblewrap: str,
    harness_here: HarnessCommand,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(data_dir))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    check_the_group_runs(harness_here, tmp_path / "runs", smollm2, "hf", 20)


@pytest.mark.parametrize("group", ["reasoning", "paper"])
def test_a_group_uses_few_shot_examples_for_the_tasks_that_have_some(
    group: str, synthetic_project: Project, bubblewrap: str, harness_here: HarnessCommand
) -> None:
    words = ("eval", "--model", "uniform", "--backend", "scripted", "--limit", 1, "--dry_run")
    done = harness_here(*words, "--tasks", group, "--num_fewshot", 5)
    assert done.returncode == 0, done.stderr
    done = harness_here(*words, "--tasks", "logiqa_en_letter", "--num_fewshot", 9)
    assert done.returncode == 2
    assert "--num_fewshot 9: logiqa_en_letter has 5 examples; give 5 or fewer" in done.stderr
