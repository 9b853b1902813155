"""lm-eval's layout: read back, an export gives the same comparison; other projects' converters find what they read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.records import load
from tests.records.older_runs import TIME, results, rows, write_dated, write_flat
from tests.reports.conftest import Command
from tests.reports.records_for_tests import write_run, write_run_of


def comparison(command: Command, runs: Path, *words: object) -> Any:
    code, out, err = command("compare", *words, "--runs", runs, "--format", "json")
    assert code == 0, err
    return json.loads(out.replace(str(runs), "RUNS"))


def exported(command: Command, runs: Path, out: Path, *words: object) -> Path:
    code, _, err = command("export", runs, "--format", "lm-eval", "--output_path", out, *words)
    assert code == 0, err
    return out


def test_an_export_read_back_gives_the_same_comparison(command: Command, runs: Path, tmp_path: Path) -> None:
    out = exported(command, runs, tmp_path / "out")
    assert comparison(command, out, "oracle", "uniform") == comparison(command, runs, "oracle", "uniform")


def test_without_this_projects_record_the_numbers_stay(command: Command, runs: Path, tmp_path: Path) -> None:
    out = exported(command, runs, tmp_path / "out")
    for file in out.rglob("run_*.json"):
        file.unlink()
    here, there = (comparison(command, folder, "oracle", "uniform") for folder in (runs, out))
    assert here["tables"]["differences"] == there["tables"]["differences"]


def test_failures_survive_an_export(command: Command, failed_run: Path, tmp_path: Path) -> None:
    out = exported(command, failed_run, tmp_path / "out")
    before, after = (load([folder]).models[0] for folder in (failed_run, out))
    assert before.failed == after.failed > 0
    assert {name: run.failures for name, run in before.tasks.items()} == {
        name: run.failures for name, run in after.tasks.items()
    }


def test_a_trained_models_lineage_survives_an_export(command: Command, trained: Path, tmp_path: Path) -> None:
    out = exported(command, trained, tmp_path / "out")
    assert load([out]).models[0].lineage == load([trained]).models[0].lineage


def test_the_latest_run_of_each_task_is_exported(command: Command, tmp_path: Path) -> None:
    """A later run of one task replaces it, but not the other task of the earlier run."""
    write_run_of(tmp_path / "runs" / "a", "m", {"one": range(8), "two": range(9)})
    later = write_run(tmp_path / "runs" / "b", "m", range(3), task="one")
    for file in list(later.iterdir()):
        file.rename(file.with_name(file.name.replace("2024-", "2025-")))
    out = exported(command, tmp_path / "runs", tmp_path / "out")
    assert sorted(file.name for file in (out / "m").iterdir()) == [
        "results_2024-01-01T00-00-00.000000.json", "results_2025-01-01T00-00-00.000000.json",
        "samples_one_2025-01-01T00-00-00.000000.jsonl", "samples_two_2024-01-01T00-00-00.000000.jsonl",
    ]  # fmt: skip
    tasks = {name: run.value for name, run in load([out]).models[0].tasks.items()}
    assert tasks == {"one": 3 / 22, "two": 9 / 22}


def test_groups_over_a_task_that_is_left_out_are_left_out(command: Command, tmp_path: Path) -> None:
    run = write_run_of(tmp_path / "runs", "m", {"one": range(8), "two": range(9)})
    (file,) = run.glob("results_*.json")
    contents = json.loads(file.read_text())
    members = {"outer": ["inner", "one"], "inner": ["two"], "kept": ["one"]}
    for part in ("results", "groups", "versions", "n-samples", "n-shot", "higher_is_better"):
        contents[part] = {**contents.get(part, {}), **{name: {"acc,none": 0.5} for name in members}}
    file.write_text(json.dumps({**contents, "group_subtasks": members}))
    whole = exported(command, tmp_path / "runs", tmp_path / "whole")
    assert set(json.loads(next(whole.rglob("results_*")).read_text())["groups"]) == {"outer", "inner", "kept"}
    out = exported(command, tmp_path / "runs", tmp_path / "out", "--tasks", "one")
    written = json.loads(next(out.rglob("results_*")).read_text())
    assert written["group_subtasks"] == {"kept": ["one"]}
    assert set(written["results"]) == {"one", "kept"}
    for part in ("groups", "versions", "n-samples", "n-shot", "higher_is_better"):
        assert set(written[part]) - {"one"} == {"kept"}, part


@pytest.mark.parametrize("layout", ["flat", "dated"])
def test_an_older_folder_comes_out_in_todays_layout(layout: str, command: Command, tmp_path: Path) -> None:
    values = [1.0, 0.0, 1.0, 1.0]
    written, samples = results("t", {"acc,none": 0.75}, date=1714979289.5), rows(values)
    if layout == "flat":
        write_flat(tmp_path / "runs", "t", written, samples)
    else:
        write_dated(tmp_path / "runs", "t", written, samples, "samples_{task}_{time}.json")
    out = exported(command, tmp_path / "runs", tmp_path / "out")
    (file,) = out.rglob("samples_t_*.jsonl")
    row = json.loads(file.read_text(encoding="utf-8").splitlines()[0])
    assert row["arguments"]["gen_args_1"] == {"arg_0": "Frage 0: größer?", "arg_1": " nein"}
    before, after = (load([folder]).models[0].tasks["t"] for folder in (tmp_path / "runs", out))
    assert before.items.doc_hash.tolist() == after.items.doc_hash.tolist()
    assert before.headline_values.tolist() == after.headline_values.tolist() == values
    assert layout == "flat" or TIME in file.name


def test_a_model_id_names_folder_and_model(command: Command, trained: Path, tmp_path: Path) -> None:
    out = exported(command, trained, tmp_path / "out", "--model_id", "lab/code-sft")
    (file,) = out.glob("lab__code-sft/results_*.json")
    contents = json.loads(file.read_text())
    assert contents["config"]["model_args"]["pretrained"] == contents["model_name"] == "lab/code-sft"
    assert load([out]).models[0].name == "lab/code-sft"


def _bytes(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("kind", ["of this project", "of plain lm-eval"])
@pytest.mark.parametrize("words", [(), ("--model_id", "lab/code-sft")], ids=["default", "model_id"])
def test_an_export_of_an_export_is_the_same(
    words: tuple[str, ...], kind: str, command: Command, trained: Path, tmp_path: Path
) -> None:
    runs = trained
    if kind == "of plain lm-eval":
        write_run(tmp_path / "plain", "runs/model", {0}, items=4)
        runs = tmp_path / "plain"
    first = exported(command, runs, tmp_path / "first", *words)
    second = exported(command, first, tmp_path / "second")
    assert _bytes(first) == _bytes(second)
    (file,) = second.rglob("results_*.json")
    pretrained = json.loads(file.read_text())["config"]["model_args"]["pretrained"]
    assert pretrained == "lab/code-sft" if words else pretrained.startswith("local/")


def test_two_runs_of_one_time_are_refused(command: Command, tmp_path: Path) -> None:
    for folder, task in (("a", "one"), ("b", "two")):
        write_run(tmp_path / "runs" / folder, "m", range(8), task=task)
    code, _, err = command("export", tmp_path / "runs", "--format", "lm-eval", "--output_path", tmp_path / "out")
    assert code == 2
    assert "has the same time" in err
    assert not (tmp_path / "out").exists()


def test_the_export_of_a_copy_is_the_same(command: Command, trained: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(trained, tmp_path / "copy" / trained.name, symlinks=True))
    first, second = (exported(command, folder, tmp_path / name) for name, folder in (("a", trained), ("b", copy)))
    assert _bytes(first) == _bytes(second)
