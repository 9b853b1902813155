"""The likeliest mistakes of a newcomer: each ends with 2 and one line that has the value, and what to do."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from harness import hub_access
from tests.conftest import HarnessCommand
from tests.reports.study_records import RunTask, write_study_run

# Words of a command -> what its line must have. {nowhere} does not exist, {empty} is an empty folder, {file} is a text,
# {board} has the runs of two models.
MISTAKES = {
    "eval --modle x --tasks mini_logic": "--modle: unknown flag. Did you mean --model?",
    "eval --tasks mini_logic": "--model: missing; give a checkpoint",
    "eval --model x": "--tasks/-t: missing; give --tasks (tasks, groups, globs or YAML files, separated by commas; "
    "all: every task of `harness tasks list`)",
    "eval --model x --tasks": "argument --tasks/-t: expected at least one argument; give it a value: tasks, ",
    "eval --model x --tasks mini_logic --limit": "expected one argument; give it a value: items per task: a count",
    "compare good bad --runs {board} --margin": "--margin: expected one argument; give it a value: test whether a ",
    "export {board} --format": "--format: expected one argument; give it a value: csv, every-eval-ever, ",
    "eval --model {nowhere} --tasks mini_logic": "{nowhere}",
    "eval --model {empty} --tasks mini_logic": "{empty}",
    "eval --model {file} --tasks mini_logic": "{file}: a single file must be a .gguf file",
    "eval {oracle} --tasks mini_logik": "mini_logik: unknown task or group. Did you mean mini_logic",
    "eval {oracle} --tasks mini_logic --limit -1": "-1: give a whole number of items from 1",
    "eval {oracle} --tasks mini_logic --limit 0": "0: give a whole number of items from 1",
    "eval {oracle} --tasks mini_logic --limit many": "many: not a number; give one",
    "eval {oracle} --tasks mini_logic --num_fewshot -1": "-1: give a whole number from 0",
    "eval {oracle} --tasks mini_logic --batch_size 0": "0: give a whole number of 1 or more, or auto",
    "eval {oracle} --tasks mini_logic --seed x": "x: give a whole number from 0",
    "eval {oracle} --tasks mini_logic --dtype fp8": "invalid choice: 'fp8' (choose from 'auto', 'float32'",
    "eval {oracle} --tasks mini_logic --output_path {file}": "{file} is a file; give a folder",
    "eval {oracle} --tasks mini_logic --include_path {nowhere}": "{nowhere}",
    "eval {oracle} --tasks mini_logic --include_path {file}": "{file}",
    "eval {oracle} --tasks mini_logic --data_dir {nowhere}": "{nowhere}",
    "eval {oracle} --tasks mini_logic --samples {nowhere}": "{nowhere}: cannot be read (No such file",
    "eval {oracle} --tasks mini_logic --config {nowhere}": "{nowhere}: cannot be read (No such file",
    "eval --backend scripted --model oracle --tasks mini_logic --use_cache {empty}": "{empty}: is a folder; give",
    "eval {oracle} --tasks mini_logic --gen_kwargs temperature": "temperature: not key=value pairs; write",
    "eval --backend scripted --model orakle --tasks mini_logic": "orakle",
    "eval --backend hff --model x --tasks mini_logic": "hff: unknown; give one of auto, hf, ",
    "leaderboard {nowhere}": "{nowhere}: no such run folder or results file; give a folder with runs",
    "leaderboard {empty}": "{empty}: no runs found",
    "leaderboard {file}": "{file}",
    "leaderboard {board} --tasks mini_logik": "mini_logik: no run of this task; give one of mini_logic. Did you mean",
    "leaderboard {board} --against gud": "--against gud",
    "leaderboard {board} --format xls": "'xls'",
    "leaderboard {board} --output_path {nowhere}/x.html": "{nowhere}/x.html: give a file in a folder that exists",
    "compare gud bad --runs {board}": "gud",
    "compare {nowhere} {board}/bad": "{nowhere}",
    "compare good bad --runs {nowhere}": "{nowhere}",
    "compare good bad --runs {board} --metric akk": "akk",
    "compare good bad --runs {board} --margin abc": "argument --margin: abc: give a number",
    "compare good bad --runs {board} --margin -1": "--margin -1.0: give the smallest loss that matters",
    "compare good bad --runs {board} --last_checkpoints two": "argument --last_checkpoints: two: give a whole number",
    "compare good --runs {board}": "only one model; give two or more to compare",
    "compare --design {nowhere}": "{nowhere}: cannot be read",
    "power {nowhere}": "{nowhere}: cannot be read",
    "power {file}": "{file}",
    "power {file} --effect big": "argument --effect: big: give a number",
    "rescore {nowhere}": "{nowhere}: no run.json; give a folder that `harness eval` wrote",
    "rescore {empty}": "{empty}: no run.json; give a folder that `harness eval` wrote",
    "train": "STAGE.yaml: is missing; give a stage file",
    "train {nowhere} --output_path {empty}": "{nowhere}",
    "train {empty} --output_path {nowhere}": "{empty}",
    "train {file} --output_path {nowhere}": "{file}",
    "run": "EXPERIMENT.yaml: is missing; give the file of a study",
    "run {nowhere} --output_path {empty}": "{nowhere}",
    "run {file} --output_path {empty}": "{file}",
    "status {nowhere}": "{nowhere}: holds no study; give the --output_path of `harness run`",
    "status {file}": "{file}: holds no study; give the --output_path of `harness run`",
    "lineage {nowhere}": "{nowhere}",
    "lineage {empty}": "{empty}",
    "overlap {nowhere} --tasks mini_logic": "{nowhere}: does not exist; give",
    "overlap {file} --tasks mini_logik": "mini_logik",
    "overlap": "PLACE, --tasks: missing; give PLACE (a stage file; ",
    "export {nowhere} --format csv --output_path {nowhere}2": "{nowhere}: no such run folder or results file; give",
    "export {board} --format csv --output_path {file}": "{file}",
    "export {board} --output_path {nowhere}2": "--format: missing; give --format (csv, every-eval-ever, ",
    "tasks": "ACTION: missing; give ACTION (list, show, fetch, validate)",
    "tasks show": "NAME: missing; give NAME (a task, a group, a pattern or a YAML file)",
    "tasks show mini_logik": "mini_logik: unknown task or group. Did you mean mini_logic",
    "tasks fetch mini_logik": "mini_logik",
    "tasks validate mini_logik": "mini_logik",
    "tasks list --domain logik": "logik: no task of this domain; give one of",
    "tasks list --include_path {nowhere}": "{nowhere}",
    "cache clear jurnal": "'jurnal'",
    "view {nowhere}": "{nowhere}",
    "view {empty}": "{empty}",
    "view {board} --port abc": "abc",
    "evla": "evla: unknown command",
    "tasks lst": "Did you mean list?",
}
# Each message tells the user what to do in a clause of its own. A word inside another clause is none: "no run of this".
REMEDY = re.compile(r"[;:.(] ?(Did you mean|choose from|(give|correct|write|leave it out|remove)\b)", re.IGNORECASE)
POINTER = " (see harness"  # what the parser adds to each message: it is no remedy of its own


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What stands for the words in braces; the hub is turned off."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    hub_access.forget_findings()
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("no mapping", encoding="utf-8")
    for name, value in (("good", 1.0), ("bad", 0.0)):
        write_study_run(tmp_path / "board", name, {"mini_logic": RunTask(values=np.full(8, value), domain="logic")})
    return {
        "nowhere": tmp_path / "nowhere", "empty": tmp_path / "empty", "file": tmp_path / "file.txt",
        "board": tmp_path / "board", "oracle": "--backend scripted --model oracle --no_cache",
    }  # fmt: skip


def test_a_mistake_is_one_line_that_has_the_value_and_the_remedy(
    places: dict[str, object], harness_here: HarnessCommand, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    wrong: list[tuple[object, ...]] = []
    for words, expected in MISTAKES.items():
        done = harness_here(*words.format(**places).split())
        line = done.stderr
        one = line.count("\n") == 1 and line.startswith("harness")
        if (done.returncode, done.stdout, one) != (2, "", True) or expected.format(**places) not in line:
            wrong.append((words, done.returncode, done.stdout[-200:], line[-600:]))
        elif not REMEDY.search(line.partition(POINTER)[0]):
            wrong.append((words, "no remedy", "", line))
    assert wrong == []
    cache = tmp_path / "cache"
    assert [path for path in sorted(tmp_path.rglob("*")) if cache not in path.parents] == [
        path for path in before if cache not in path.parents
    ], "nothing is written"
