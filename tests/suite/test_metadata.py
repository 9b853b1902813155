"""What an evaluation takes from a task's definition is checked before any model is asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.conftest import HarnessCommand
from tests.tasks_for_tests import write_tasks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tasks(tmp_path / "tasks", items=4)


def change(path: Path, **changes: object) -> None:
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    metadata = changes.pop("metadata", {})
    assert isinstance(metadata, dict)
    config |= changes
    config["metadata"] = {**config.get("metadata", {}), "items": 4, **metadata}
    path.write_text(yaml.safe_dump(config, sort_keys=False), encoding="utf-8")


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"chance": "lots"}, "metadata.chance is 'lots', must be a number from 0 to 1"),
        ({"cluster": "passge"}, "metadata.cluster names the field 'passge', which the items do not have"),
        ({"metric": "accuracy"}, "metadata.metric is 'accuracy', which is none of its metrics"),
        ({"hub_benchmark": {"dataset": "lab/x"}}, "metadata.hub_benchmark is {'dataset': 'lab/x'}, must have dataset"),
        (
            {"hub_benchmark": {"dataset": "x", "task_id": "y"}},
            "metadata.hub_benchmark.dataset is 'x', must be org/name of a data set",
        ),
    ],
)
def test_wrong_metadata_is_an_error_before_anything_is_asked(
    folder: Path, tmp_path: Path, harness_here: HarnessCommand, metadata: dict[str, object], problem: str
) -> None:
    change(folder / "choice.yaml", metadata=metadata)
    words = ["--tasks", "t_choice", "--include_path", folder]
    done = harness_here("eval", "--backend", "scripted", "--model", "oracle", *words, "--output_path", tmp_path / "out")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert f"task t_choice: {problem}" in done.stderr
    validated = harness_here("tasks", "validate", "t_choice", "--include_path", folder)
    assert validated.returncode != 0
    assert problem.split(", ")[-1] in validated.stdout


def test_a_word_that_is_no_field_is_named(folder: Path, harness_here: HarnessCommand) -> None:
    change(folder / "choice.yaml", doc_to_target="golden")
    validated = harness_here("tasks", "validate", "t_choice", "--include_path", folder)
    assert "doc_to_target: 'golden' is no field of the items" in validated.stdout


def test_examples_that_a_task_never_has_are_noted(tmp_path: Path, folder: Path, harness_here: HarnessCommand) -> None:
    change(folder / "choice.yaml", num_fewshot=0)
    words = ["--tasks", "t_choice", "--include_path", folder, "--num_fewshot", 2, "--output_path", tmp_path / "out"]
    done = harness_here("eval", "--backend", "scripted", "--model", "oracle", *words)
    assert done.returncode == 0, done.stderr
    record = json.loads(next((tmp_path / "out").rglob("run_*.json")).read_text(encoding="utf-8"))
    assert "--num_fewshot 2: not for t_choice, which are always without examples." in record["notes"]


def test_examples_that_are_evaluated_items_are_noted(
    tmp_path: Path, folder: Path, harness_here: HarnessCommand
) -> None:
    words = ["--tasks", "t_choice", "--include_path", folder, "--num_fewshot", 1, "--output_path", tmp_path / "out"]
    done = harness_here("eval", "--backend", "scripted", "--model", "oracle", *words)
    assert done.returncode == 0, done.stderr
    record = json.loads(next((tmp_path / "out").rglob("run_*.json")).read_text(encoding="utf-8"))
    assert "t_choice: no other split for examples, so evaluated items are examples for each other." in record["notes"]
