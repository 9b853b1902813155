"""Which items are evaluated, what is recorded and what is printed, as the flags of lm-eval ask for it."""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from harness.errors import TaskError
from harness.records.run_folder import read_record
from harness.sandbox.backends import use_backend
from tests.conftest import HarnessCommand
from tests.models import save_tiny_llama
from tests.tasks_for_tests import write_code_task, write_tasks


@pytest.fixture(scope="module")
def tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("tasks"), items=12)


@pytest.fixture
def evaluate(harness_here: HarnessCommand, tasks: Path) -> HarnessCommand:
    """Evaluate a script on the tasks."""

    def run(*words: object, model: str = "oracle") -> Any:
        own = () if "--include_path" in words else ("--include_path", tasks)
        return harness_here("eval", "--backend", "scripted", "--model", model, *own, *words)

    return run


def _rows(folder: Path, task: str) -> list[dict[str, Any]]:
    text = max(folder.rglob(f"samples_{task}_*.jsonl")).read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


# items


def test_samples_names_the_items_of_a_task_and_the_others_are_whole(evaluate: HarnessCommand, tmp_path: Path) -> None:
    done = evaluate(
        "--tasks", "t_all", "--samples", '{"t_choice": [7, 2, 7]}', "--output_path", tmp_path, model="uniform"
    )
    assert done.returncode == 0, done.stderr
    chosen = _rows(tmp_path, "t_choice")
    assert [row["doc_id"] for row in chosen] == [2, 7]
    assert [row["doc"]["question"] for row in chosen] == [f"Which animal is number {n}?" for n in (2, 7)]
    assert len(_rows(tmp_path, "t_generate")) == 12
    record = read_record(tmp_path / "uniform")
    assert record.prompt["samples"] == {"t_choice": [2, 7]}
    assert (record.tasks["t_choice"].items, record.tasks["t_choice"].asked) == (2, 8)
    whole = evaluate("--tasks", "t_choice", "--output_path", tmp_path / "whole", model="uniform")
    assert whole.returncode == 0, whole.stderr
    by_item = {row["doc_id"]: row for row in _rows(tmp_path / "whole", "t_choice")}
    for row in chosen:
        assert {name: row[name] for name in ("resps", "acc", "doc_hash", "prompt_hash")} == {
            name: by_item[row["doc_id"]][name] for name in ("resps", "acc", "doc_hash", "prompt_hash")
        }


def test_an_oracle_is_right_on_the_items_that_are_named(evaluate: HarnessCommand, tmp_path: Path) -> None:
    """The right answers belong to the named items, not to the first ones."""
    items = tmp_path / "items.json"
    items.write_text('{"t_choice": [3, 5, 11], "t_generate": [10]}', encoding="utf-8")
    done = evaluate("--tasks", "t_all", "-E", items, "--output_path", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    tasks = read_record(tmp_path / "out" / "oracle").tasks
    assert {name: (task.items, task.value) for name, task in tasks.items()} == {
        "t_choice": (3, 1.0), "t_generate": (1, 1.0),
    }  # fmt: skip


def test_a_run_on_named_items_is_scored_again(
    evaluate: HarnessCommand, harness_here: HarnessCommand, tasks: Path, tmp_path: Path
) -> None:
    assert evaluate("--tasks", "t_all", "-E", '{"t_choice": [3, 5]}', "--output_path", tmp_path).returncode == 0
    done = harness_here("rescore", tmp_path / "oracle", "--include_path", tasks)
    assert done.returncode == 0, done.stderr
    assert [row["doc_id"] for row in _rows(tmp_path, "t_choice")] == [3, 5]
    assert read_record(tmp_path / "oracle").tasks["t_choice"].value == 1.0


@pytest.mark.parametrize(
    ("samples", "message"),
    [
        ('{"t_choise": [0]}', "t_choise: not one of the evaluated tasks"),
        ('{"t_all": [0]}', "t_all: not one of the evaluated tasks"),
        ('{"t_choice": [12]}', "12: the task has items 0 to 11"),
        ('{"t_choice": [-1]}', "t_choice: give a list of item numbers from 0"),
        ('{"t_choice": []}', "t_choice: give a list of item numbers from 0"),
        ('{"t_choice": [true]}', "t_choice: give a list of item numbers from 0"),
        ('{"t_choice": "0"}', "t_choice: give a list of item numbers from 0"),
        ("{'t_choice': [0]}", "not JSON"),
        ("nosuch.json", "nosuch.json: cannot be read"),
    ],
)
def test_wrong_item_numbers_give_one_line(samples: str, message: str, evaluate: HarnessCommand, tmp_path: Path) -> None:
    done = evaluate("--tasks", "t_all", "--samples", samples, "--output_path", tmp_path / "out")
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_samples_and_limit_exclude_each_other(evaluate: HarnessCommand) -> None:
    done = evaluate("--tasks", "t_all", "--samples", '{"t_choice": [0]}', "--limit", 2)
    assert done.returncode == 2
    assert "--limit: cannot be combined with --samples" in done.stderr


# tasks


def test_a_task_is_named_by_its_file_a_glob_or_a_folder(
    evaluate: HarnessCommand, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, names in {
        str(tasks / "choice.yaml"): {"t_choice"},
        str(tasks / "c*.yaml"): {"t_choice"},
        f"{tasks / 'choice.yaml'},{tasks / 'generate.yaml'}": {"t_choice", "t_generate"},
    }.items():
        done = evaluate("--tasks", name, "--output_path", tmp_path / "out")
        assert done.returncode == 0, done.stderr
        assert set(read_record(tmp_path / "out" / "oracle").tasks) == names
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(tasks / "choice.yaml", alone)
    shutil.copytree(alone, tmp_path / "t_generate")  # a folder with the name of a task
    monkeypatch.chdir(tmp_path)
    for name, task in (("alone", "t_choice"), ("t_generate", "t_generate")):
        done = evaluate("--tasks", name, "--output_path", tmp_path / name / "out")
        assert done.returncode == 0, done.stderr
        assert set(read_record(tmp_path / name / "out" / "oracle").tasks) == {task}
    none = evaluate("--tasks", str(tmp_path / "nosuch*.yaml"))
    assert none.returncode == 2
    assert "no YAML file there" in none.stderr


def test_all_is_every_task_with_data_and_a_note_on_the_others(
    evaluate: HarnessCommand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the project's tasks replaced by two, one of which has no data."""
    import harness.paths
    from harness.suite import catalogue, selection

    own = write_tasks(tmp_path / "own", items=4)
    for name in ("tasks_dir",):
        for module in (catalogue, harness.paths):
            monkeypatch.setattr(module, name, lambda: own)
    monkeypatch.setattr(
        selection, "tasks_without_data", lambda name, _: {"t_generate": ["a.json"]} if name == "t_generate" else {}
    )

    def fetch(*_: object, **__: object) -> None:
        raise TaskError("no address")

    monkeypatch.setattr(selection, "fetch", fetch)
    monkeypatch.setattr(selection, "find", lambda file, pinned: None)
    monkeypatch.setattr(selection, "how_to_get", lambda files, folders: "put it there")
    monkeypatch.setattr(selection, "all_files", lambda folders: {})
    done = evaluate("--tasks", "all", "--include_path", tmp_path, "--output_path", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert set(read_record(tmp_path / "out" / "oracle").tasks) == {"t_choice"}
    assert "t_generate of all left out: it needs a.json; put it there" in done.stderr


def test_several_folders_of_tasks_stand_in_one_word(evaluate: HarnessCommand, tasks: Path, tmp_path: Path) -> None:
    second = tmp_path / "with:colon"
    second.mkdir()
    text = (tasks / "choice.yaml").read_text(encoding="utf-8").replace("t_choice", "t_more")
    (second / "more.yaml").write_text(text, encoding="utf-8")
    other = Path(shutil.copytree(second, tmp_path / "plain"))
    for path in ([f"{tasks}:{other}"], [tasks, second]):
        words = [word for each in path for word in ("--include_path", each)]
        done = evaluate("--tasks", "t_choice,t_more", *words, "--output_path", tmp_path / "out")
        assert done.returncode == 0, done.stderr
        assert set(read_record(tmp_path / "out" / "oracle").tasks) == {"t_choice", "t_more"}


# records


def test_without_a_folder_for_records_the_table_is_printed_and_the_answers_are_kept(
    evaluate: HarnessCommand, tasks: Path, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    model = save_tiny_llama(tmp_path / "tiny")
    words = ["eval", "--model", model, "--tasks", "t_choice", "--include_path", tasks, "--device", "cpu", "--limit", 4]
    done = harness_here(*words)
    assert done.returncode == 0, done.stderr
    assert "no record: add --output_path DIR to write one" in done.stdout
    assert "t_choice" in done.stdout
    again = harness_here(*words, "--output_path", tmp_path / "out")
    assert again.returncode == 0, again.stderr
    record = read_record(tmp_path / "out" / "tiny")
    assert record.from_journal == 16
    assert record.engine is None, "no weights were loaded"


def test_an_output_path_that_is_a_file_is_written_as_lm_eval_does(
    evaluate: HarnessCommand, harness_here: HarnessCommand, tmp_path: Path
) -> None:
    for model in ("oracle", "corrupted"):
        done = evaluate("--tasks", "t_choice", "--output_path", tmp_path / "out" / f"{model}.json", model=model)
        assert done.returncode == 0, done.stderr
    names = sorted(path.name.split("_20")[0] for path in (tmp_path / "out").iterdir() if path.name != "run.json")
    assert names == ["corrupted", "oracle", "run", "run", "samples_t_choice", "samples_t_choice"]
    done = harness_here("compare", "oracle", "corrupted", "--runs", tmp_path / "out", "--format", "json")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)["tables"]["differences"]
    assert (row["mean_baseline"], row["mean_arm"]) == (1.0, 0.0)
    taken = evaluate("--tasks", "t_choice", "--output_path", tmp_path / "out" / "run.json")
    assert (tmp_path / "out" / "run.json").exists()
    assert taken.returncode == 2
    assert "are names of other files of a run" in taken.stderr


def test_answers_without_scores_are_recorded_and_scored_later(
    evaluate: HarnessCommand, harness_here: HarnessCommand, tasks: Path, tmp_path: Path
) -> None:
    done = evaluate("--tasks", "t_all", "--predict_only", "--output_path", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "only the answers are recorded" in done.stderr
    record = read_record(tmp_path / "oracle")
    assert {(task.metric, task.value) for task in record.tasks.values()} == {("", None)}
    row = _rows(tmp_path, "t_generate")[0]
    assert row["metrics"] == []
    assert row["resps"] == [[row["target"]]]
    assert not {"exact_match", "acc", "bypass"} & row.keys()
    results = json.loads(max(tmp_path.rglob("results_*.json")).read_text(encoding="utf-8"))["results"]
    assert not [key for values in results.values() for key in values if "," in key]
    refused = harness_here("compare", tmp_path / "oracle", tmp_path / "oracle")
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    scored = harness_here("rescore", tmp_path / "oracle", "--include_path", tasks)
    assert scored.returncode == 0, scored.stderr
    assert {task.value for task in read_record(tmp_path / "oracle").tasks.values()} == {1.0}


def test_answers_without_scores_run_no_program(evaluate: HarnessCommand, tmp_path: Path) -> None:
    rows = [{"question": "q", "code": "def f(): pass", "tests": "assert f() is None", "entry_point": "f", "setup": ""}]
    folder = write_code_task(tmp_path / "code", "t_code", rows)
    words = ["--tasks", "t_code", "--include_path", folder, "--output_path", tmp_path / "out"]
    done = evaluate(*words, "--predict_only")
    assert done.returncode == 0, done.stderr
    (row,) = _rows(tmp_path / "out", "t_code")
    assert row["filtered_resps"] == row["resps"][0]


def test_answers_without_scores_need_a_record(evaluate: HarnessCommand) -> None:
    done = evaluate("--tasks", "t_choice", "--predict_only")
    assert done.returncode == 2
    assert "--predict_only: needs a record for the answers; add --output_path DIR." in done.stderr


# unsafe tasks

UNSAFE = """
task: t_unsafe
unsafe_code: true
dataset_path: json
dataset_kwargs: {{data_files: {{test: {data}}}}}
test_split: test
output_type: generate_until
doc_to_text: prompt
doc_to_target: right
metric_list:
  - {{metric: exact_match, aggregation: mean, higher_is_better: true}}
metadata: {{version: 1, domain: code_gen, chance: 0.0}}
"""


def test_lm_evals_unsafe_tasks_run_if_the_user_confirms_and_the_sandbox_stays(
    evaluate: HarnessCommand, tasks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "unsafe.yaml").write_text(UNSAFE.format(data=tasks / "items.jsonl"), encoding="utf-8")
    words = ["--tasks", "t_unsafe", "--include_path", tmp_path / "t"]
    refused = evaluate(*words)
    assert refused.returncode == 2
    assert "or give --confirm_run_unsafe_code" in refused.stderr
    backends: list[str] = []

    def noted(name: str) -> AbstractContextManager[None]:
        backends.append(name)
        return use_backend(name)

    monkeypatch.setattr("harness.evaluation.spec.use_backend", noted)
    done = evaluate(*words, "--confirm_run_unsafe_code")
    assert done.returncode == 0, done.stderr
    assert backends == []
    assert evaluate(*words, "--unsafe_code", "allow").returncode == 0
    assert set(backends) == {"unsafe"}
    assert evaluate(*words, "--predict_only", "--output_path", tmp_path / "out").returncode == 0


# output


def test_write_out_prints_the_first_prompt_of_each_task_before_anything_is_answered(
    evaluate: HarnessCommand,
) -> None:
    done = evaluate("--tasks", "t_all", "--samples", '{"t_choice": [5]}', "--write_out")
    assert done.returncode == 0, done.stderr
    printed = done.stdout
    assert printed.index("Which animal is number 5?\nAnswer:") < printed.index("1.000")
    for part in ("task: t_choice\nitem: 5\n", "continuation: ' ", "task: t_generate\nitem: 0\n", "target: 'cat'"):
        assert part in printed
    assert "number 6" not in printed
