"""A folder of tasks may hold other files too."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.records.run_folder import read_record
from tests.conftest import HarnessCommand
from tests.tasks_for_tests import write_tasks

OTHERS = {
    "docker-compose.yaml": "services:\n  web:\n    image: nginx\n",
    "ci/pipeline.yaml": "include:\n  - local: a.yml\njob:\n  script: !reference [.setup, script]\n",
    "k8s/pods.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n---\napiVersion: v1\n",
    "helm/values.yaml": "{{- if .Values.x }}\nname: x\n{{- end }}\n",
    "playbook.yaml": "- hosts: all\n  tasks: [ping]\n",
    ".ipynb_checkpoints/choice-checkpoint.yaml": "COPY",
    ".git/choice.yaml": "COPY",
    "._choice.yaml": "\0\5\26\7",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tasks = write_tasks(tmp_path / "tasks", items=3)
    copy = (tasks / "choice.yaml").read_text(encoding="utf-8").replace("doc_to_text: prompt", "doc_to_text: wrong")
    for name, text in OTHERS.items():
        (tasks / name).parent.mkdir(exist_ok=True)
        (tasks / name).write_text(text.replace("COPY", copy), encoding="utf-8")
    return tasks


def test_other_files_are_left_out_with_a_note(folder: Path, tmp_path: Path, harness_here: HarnessCommand) -> None:
    words = ["--tasks", "t_all", "--include_path", folder, "--output_path", tmp_path / "runs"]
    done = harness_here("eval", "--backend", "scripted", "--model", "oracle", *words)
    assert done.returncode == 0, done.stderr
    record = read_record(tmp_path / "runs" / "oracle")
    assert record.tasks["t_choice"].value == 1.0
    (note,) = record.notes
    assert note.startswith("Skipped YAML files, hidden or without a task: ")
    assert str(folder / ".git/choice.yaml") in note
    assert "and 3 more" in note
    listed = harness_here("tasks", "list", "--include_path", folder)
    assert listed.returncode == 0
    assert "Skipped YAML files, hidden or without a task" in listed.stderr


def test_a_hidden_file_that_is_named_is_used(folder: Path, harness_here: HarnessCommand) -> None:
    done = harness_here("tasks", "show", folder / ".git" / "choice.yaml")
    assert "wrong" in done.stdout + done.stderr
    done = harness_here("tasks", "show", "t_choice", "--include_path", folder / ".git")
    assert "wrong" in done.stdout


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffinclude: _base.yaml\ntask: indented\n",
        "---\n  include: _base.yaml\n  task: indented\n",
        "# comment\n{task: indented, include: _base.yaml}\n",
    ],
)
def test_fields_may_be_written_in_any_way_that_yaml_has(text: str, folder: Path, harness_here: HarnessCommand) -> None:
    base = (folder / "choice.yaml").read_text(encoding="utf-8").replace("task: t_choice\n", "")
    (folder / "_base.yaml").write_text(base, encoding="utf-8")
    (folder / "other.yaml").write_text(text, encoding="utf-8")
    done = harness_here("tasks", "show", "indented", "--include_path", folder)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("text", ["task: [\n", "doc_to_text: x\n", "group: g\n", '{"task": "a"}\n'])
def test_a_faulty_task_is_not_taken_for_a_file_of_another_program(
    text: str, folder: Path, harness_here: HarnessCommand
) -> None:
    (folder / "faulty.yaml").write_text(text, encoding="utf-8")
    done = harness_here("tasks", "list", "--include_path", folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "faulty.yaml" in done.stderr


def test_a_name_that_only_a_left_out_file_could_have_names_the_file(folder: Path, harness_here: HarnessCommand) -> None:
    done = harness_here("tasks", "show", "no_such", "--include_path", folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert str(folder / "ci/pipeline.yaml") in done.stderr or "and 3 more" in done.stderr


@pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xef\xbb\xbf\r\n\r\n"])
def test_json_lines_may_begin_with_a_byte_order_mark_and_have_blank_lines(
    mark: bytes, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    folder = write_tasks(tmp_path / "tasks", items=3)
    data = folder / "items.jsonl"
    data.write_bytes(mark + data.read_bytes().replace(b"\n", b"\n\n"))
    words = ["--tasks", "t_all", "--include_path", folder, "--output_path", tmp_path / "runs"]
    done = harness_here("eval", "--backend", "scripted", "--model", "oracle", *words)
    assert done.returncode == 0, done.stderr
    assert read_record(tmp_path / "runs" / "oracle").tasks["t_choice"].items == 3


def test_a_task_in_another_encoding_is_named(folder: Path, harness_here: HarnessCommand) -> None:
    (folder / "windows.yaml").write_text("task: t_windows\n", encoding="utf-16")
    done = harness_here("tasks", "list", "--include_path", folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "windows.yaml" in done.stderr


def test_an_unknown_name_lists_the_files_that_were_left_out(folder: Path, harness_here: HarnessCommand) -> None:
    done = harness_here("tasks", "validate", "t_none", "--include_path", folder)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "Skipped YAML files, hidden or without a task: " in done.stderr
