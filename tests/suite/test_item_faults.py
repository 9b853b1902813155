"""`validate` names every fault of a user's items, and `eval` refuses or notes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.records.run_folder import read_record
from tests.conftest import HarnessCommand
from tests.tasks_for_tests import write_code_task, write_tasks

GOOD = {"question": "Double x.", "code": "def f(x): return 2 * x", "tests": "assert f(2) == 4"}


def _validate(harness_here: HarnessCommand, folder: Path, name: str = "doubles") -> tuple[int, str]:
    done = harness_here("tasks", "validate", name, "--include_path", folder, "--run_code")
    assert not done.stderr
    return done.returncode, done.stdout


FAULTY_TESTS: dict[str, tuple[dict[str, Any], str]] = {
    "no tests": ({"tests": None}, "lacks the field tests"),
    "not text": ({"tests": ["assert f(2) == 4"]}, "tests is list, must be text"),
    "not Python": ({"tests": "assert f(2 == 4"}, "tests is not Python"),
    "set-up not Python": ({"setup": "import"}, "setup is not Python"),
    "no assertion": ({"tests": "print(f(2))"}, "the field tests has no assertion"),
    "entry point not text": ({"entry_point": 3}, "entry_point is int"),
}


@pytest.mark.parametrize("case", FAULTY_TESTS)
def test_tests_that_no_program_can_pass_are_faults_of_the_item(
    case: str, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    change, problem = FAULTY_TESTS[case]
    rows = [{"setup": "", "entry_point": "f", **GOOD}, {"setup": "", "entry_point": "f", **GOOD, **change}]
    if any(isinstance(value, list | int) for value in change.values()):
        rows = rows[1:]  # a column of one type, as `datasets` wants it
    folder = write_code_task(tmp_path / "tasks", "doubles", rows)
    code, out = _validate(harness_here, folder)
    assert code == 2
    assert f"item {len(rows) - 1}: {problem}" in out
    words = ["--tasks", "doubles", "--include_path", folder, "--output_path", tmp_path / "runs"]
    done = harness_here("eval", "--backend", "scripted", "--model", "oracle", *words)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert f"item {len(rows) - 1}: {problem}" in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_reference_solution_that_fails_its_tests_is_a_fault(tmp_path: Path, harness_here: HarnessCommand) -> None:
    rows = [GOOD, {**GOOD, "tests": "assert f(2) == 5"}, {**GOOD, "code": "def f(x): return y"}]
    code, out = _validate(harness_here, write_code_task(tmp_path / "tasks", "doubles", rows))
    assert code == 2
    assert "item 1: its reference solution does not pass (failed: assertion 1 (line 1): assert f(2) == 5" in out
    assert "item 2: its reference solution does not pass (error: NameError" in out


def test_items_without_a_reference_solution_are_not_run(tmp_path: Path, harness_here: HarnessCommand) -> None:
    rows: list[dict[str, Any]] = [{**GOOD, "code": None}, {**GOOD, "code": ""}, {**GOOD, "tests": "assert f(2) == 5"}]
    code, out = _validate(harness_here, write_code_task(tmp_path / "tasks", "doubles", rows))
    assert code == 2
    assert out.count("reference solution") == 1
    assert "item 2: its reference solution" in out


def test_without_a_sandbox_the_reference_solutions_are_not_run(
    tmp_path: Path, harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HARNESS_SANDBOX", "podman")
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out = _validate(harness_here, write_code_task(tmp_path / "tasks", "doubles", [GOOD]))
    assert (code, "not run  doubles" in out, "the reference solutions were not run" in out) == (1, True, True)


def test_examples_that_are_evaluated_items_are_a_fault(tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = _choices(tmp_path / "tasks")
    with (folder / "choice.yaml").open("a", encoding="utf-8") as file:
        file.write("num_fewshot: 1\n")
    code, out = _validate(harness_here, folder, "t_choice")
    assert code == 2
    assert "an evaluated item is also a few-shot example" in out


def test_a_code_task_needs_tests_only(tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = write_code_task(
        tmp_path / "tasks", "doubles", [GOOD, {**GOOD, "tests": "def check(f):\n    assert f(3) == 6"}]
    )
    code, out = _validate(harness_here, folder)
    assert (code, "ok       doubles: 2 items" in out) == (0, True), out
    words = ["--tasks", "doubles", "--include_path", folder, "--output_path", tmp_path / "runs"]
    assert harness_here("eval", "--backend", "scripted", "--model", "oracle", *words).returncode == 0
    assert read_record(tmp_path / "runs" / "oracle").tasks["doubles"].value == 1.0


def _choices(folder: Path, **fields: Any) -> Path:
    """Write a task with one choice out of four right, and change the second item."""
    write_tasks(folder, items=3)
    rows = [json.loads(line) for line in (folder / "items.jsonl").read_text(encoding="utf-8").splitlines()]
    rows[1] |= fields
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    choice = folder / "choice.yaml"
    text = choice.read_text(encoding="utf-8")
    choice.write_text(text.replace("version: 1,", "version: 1, items: 3,"), encoding="utf-8")
    return folder


@pytest.mark.parametrize("key", [4, -1, 100])
def test_a_key_out_of_range_is_a_fault_and_a_note_of_the_evaluation(
    key: int, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    folder = _choices(tmp_path / "tasks", answer=key)
    code, out = _validate(harness_here, folder, "t_choice")
    assert code == 2
    assert f"item 1: key {key} is out of range for 4 choices." in out
    words = ["--tasks", "t_choice", "--include_path", folder, "--output_path", tmp_path / "runs"]
    done = harness_here("eval", "--backend", "scripted", "--model", "uniform", *words)
    assert done.returncode == 0, done.stderr
    note = f"t_choice: 1 item has no right choice, so every answer counts as wrong, as in lm-eval (item 1: key {key} is"
    assert note in done.stderr
    assert read_record(tmp_path / "runs" / "uniform").notes[0].startswith(note)


def test_a_task_without_a_few_shot_split_shows_no_evaluated_item(tmp_path: Path, harness_here: HarnessCommand) -> None:
    code, out = _validate(harness_here, _choices(tmp_path / "tasks"), "t_choice")
    assert (code, "ok       t_choice: 3 items" in out) == (0, True), out


def test_every_fault_of_a_task_is_listed_and_many_are_counted(tmp_path: Path, harness_here: HarnessCommand) -> None:
    rows = [{**GOOD, "tests": "f(2)"}, {**GOOD, "tests": "assert f(2"}]
    folder = write_code_task(tmp_path / "tasks", "doubles", [*rows, *[GOOD] * 3])
    _, out = _validate(harness_here, folder)
    assert "item 0: the field tests has no assertion" in out
    assert "item 1: tests is not Python" in out
    folder = write_code_task(tmp_path / "more", "doubles", rows * 10)
    _, out = _validate(harness_here, folder)
    assert out.count("item ") == 10
    assert "and 10 more." in out


def test_validate_exits_1_if_a_named_task_was_not_checked(tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = write_code_task(tmp_path / "tasks", "doubles", [GOOD])
    (folder / "own.py").write_text("def text(doc): return doc['question']\n", encoding="utf-8")
    yaml = folder / "doubles.yaml"
    yaml.write_text(yaml.read_text().replace("doc_to_text: question", "doc_to_text: !function own.text"))
    done = harness_here("tasks", "validate", "doubles", "--include_path", folder)
    assert done.returncode == 1
    assert "not run  doubles" in done.stdout


def test_a_folder_that_replaces_a_task_of_the_project_is_noted(tmp_path: Path, harness_here: HarnessCommand) -> None:
    folder = _choices(tmp_path / "tasks")
    choice = folder / "choice.yaml"
    choice.write_text(choice.read_text().replace("task: t_choice", "task: mini_logic"), encoding="utf-8")
    (folder / "all.yaml").unlink()
    words = ["--tasks", "mini_logic", "--include_path", folder, "--output_path", tmp_path / "runs"]
    done = harness_here("eval", "--backend", "scripted", "--model", "uniform", *words)
    assert done.returncode == 0, done.stderr
    assert f"mini_logic in {choice} replaces a task of the same name." in done.stderr
