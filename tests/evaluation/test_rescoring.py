"""`harness rescore`: the answers of a run, scored again without an engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harness.records.run_folder import read_record
from tests.conftest import HarnessCommand
from tests.models import save_tiny_llama
from tests.tasks_for_tests import eval_words, write_tasks


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks"), items=200)


@pytest.mark.parametrize("line", ["[]", '{"doc_id": 0}', '{"doc_id": 0, "resps": 3, "arguments": []}', "3", "null"])
def test_rescoring_refuses_lines_that_are_no_samples(
    line: str, tmp_path: Path, tasks: Path, harness_here: HarnessCommand
) -> None:
    assert harness_here(*eval_words(tasks, tmp_path, "--tasks", "t_choice", "--limit", "3")).returncode == 0
    samples = next(tmp_path.rglob("samples_t_choice_*"))
    samples.write_text("".join([*samples.read_text().splitlines(keepends=True)[:2], line + "\n"]))
    done = harness_here("rescore", tmp_path / "uniform", "--include_path", tasks)
    assert done.returncode == 2
    assert f"{samples.name}, line 3: " in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_rescoring_gives_the_same_values_without_an_engine(
    tmp_path: Path, tasks: Path, harness_here: HarnessCommand
) -> None:
    assert harness_here(*eval_words(tasks, tmp_path)).returncode == 0
    first = read_record(tmp_path / "uniform")
    assert harness_here("cache", "clear", "journal").returncode == 0
    done = harness_here("rescore", tmp_path, "--include_path", tasks)  # as it was given to --output_path
    assert done.returncode == 0, done.stderr
    second = read_record(tmp_path / "uniform")
    assert second.time > first.time
    assert second.tasks == first.tasks
    assert second.notes == [f"scored again from the answers of run_{first.time}.json"]


def test_rescoring_knows_which_inputs_were_cut(tmp_path: Path, harness_here: HarnessCommand) -> None:
    tasks, model = write_tasks(tmp_path / "tasks", items=10), save_tiny_llama(tmp_path / "tiny")
    words = ["eval", "--backend", "hf", "--model", model, "--max_length", 12]
    words += ["--tasks", "t_all", "--include_path", tasks]
    assert harness_here(*words, "--output_path", tmp_path / "out", "--allow_failures", 100).returncode == 0
    first = read_record(tmp_path / "out" / "tiny")
    assert first.tasks["t_choice"].cut > 0
    assert harness_here("rescore", tmp_path / "out" / "tiny", "--include_path", tasks).returncode == 0
    second = read_record(tmp_path / "out" / "tiny")
    assert second.time > first.time
    assert {name: task.cut for name, task in second.tasks.items()} == {
        name: task.cut for name, task in first.tasks.items()
    }


@pytest.mark.parametrize("left", [0, 7])
def test_rescoring_refuses_a_samples_file_that_lost_items(
    left: int, tmp_path: Path, tasks: Path, harness_here: HarnessCommand
) -> None:
    assert harness_here(*eval_words(tasks, tmp_path)).returncode == 0
    samples = next(tmp_path.rglob("samples_t_choice_*"))
    samples.write_text("".join(samples.read_text().splitlines(keepends=True)[:left]))
    done = harness_here("rescore", tmp_path / "uniform", "--include_path", tasks)
    assert done.returncode == 2
    assert samples.name in done.stderr
    assert f"holds {left} of the 200 items" in done.stderr


def test_rescoring_applies_a_changed_metric(tmp_path: Path, harness_here: HarnessCommand) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=20)
    assert harness_here(*eval_words(tasks, tmp_path / "out", "--tasks", "t_choice", model="oracle")).returncode == 0
    rows = [json.loads(line) | {"answer": 0} for line in (tasks / "items.jsonl").read_text().splitlines()]
    (tasks / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert harness_here("rescore", tmp_path / "out" / "oracle", "--include_path", tasks).returncode == 0
    assert read_record(tmp_path / "out" / "oracle").tasks["t_choice"].value == 0.25, "a corrected key, the old answers"


def test_rescoring_refuses_answers_to_other_prompts(tmp_path: Path, harness_here: HarnessCommand) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=20)
    assert harness_here(*eval_words(tasks, tmp_path / "out", "--tasks", "t_choice")).returncode == 0
    (tasks / "choice.yaml").write_text(
        (tasks / "choice.yaml").read_text().replace("doc_to_text: prompt", "doc_to_text: question")
    )
    done = harness_here("rescore", tmp_path / "out" / "uniform", "--include_path", tasks)
    assert done.returncode == 2
    assert "another prompt" in done.stderr


def test_a_run_folder_is_needed_for_rescoring(tmp_path: Path, harness_here: HarnessCommand) -> None:
    done = harness_here("rescore", tmp_path)
    assert done.returncode == 2
    assert "no run.json" in done.stderr


HOSTILE = "import pathlib\npathlib.Path({marker!r}).write_text('ran')\ndef docs(data): return data\n"


def test_rescoring_opens_no_path_of_the_record(tmp_path: Path, harness_here: HarnessCommand) -> None:
    """A stranger's record may name a folder whose YAML refers to code."""
    tasks = write_tasks(tmp_path / "tasks", items=5)
    assert harness_here(*eval_words(tasks, tmp_path / "out", "--tasks", "t_choice")).returncode == 0
    marker = tmp_path / "marker"
    (tasks / "code.py").write_text(HOSTILE.format(marker=str(marker)))
    with (tasks / "choice.yaml").open("a") as file:
        file.write("process_docs: !function code.docs\n")
    done = harness_here("rescore", tmp_path / "out" / "uniform")
    assert done.returncode == 2
    assert f"The run had --include_path {tasks}; give a folder that you trust with --include_path" in done.stderr
    assert "Traceback" not in done.stderr
    assert not marker.exists()
    record = next((tmp_path / "out" / "uniform").glob("run_*.json"))
    text = record.read_text()
    record.write_text(text.replace('"t_choice"', json.dumps(str(tasks / "choice.yaml")), 1))
    done = harness_here("rescore", tmp_path / "out" / "uniform")
    assert done.returncode == 2
    assert not marker.exists()


@pytest.mark.parametrize(
    "words", [["list"], ["validate"], ["validate", "t_choice"], ["show", "t_choice"], ["show", "t_all"]]
)
def test_commands_about_tasks_run_no_code_of_the_users_folder(
    words: list[str], tmp_path: Path, harness_here: HarnessCommand
) -> None:
    tasks, marker = write_tasks(tmp_path / "tasks", items=5), tmp_path / "marker"
    (tasks / "code.py").write_text(HOSTILE.format(marker=str(marker)))
    with (tasks / "choice.yaml").open("a") as file:
        file.write("process_docs: !function code.docs\nmetric_list:\n  - metric: !function code.docs\n")
    done = harness_here("tasks", *words, "--include_path", tasks)
    assert not marker.exists()
    assert "Traceback" not in done.stderr
    if words[0] == "show":
        assert "not run: !function code.docs; add --run_code if you trust it" in done.stdout
    if words == ["validate", "t_choice"]:
        assert done.returncode == 2 or "not run" in done.stdout
