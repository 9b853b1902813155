"""`use_data_dir` names the data folder for one block: loaders see it, nothing else in the process does."""

from __future__ import annotations

import argparse
import contextvars
import json
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import datasets
import pytest
import yaml

from harness import data
from harness.cli import tasks_command
from harness.errors import InputError
from harness.paths import data_dir, use_data_dir
from harness.suite.catalogue import Catalogue

LOADER = """
from pathlib import Path
from harness.data import read
from harness.items import choice_item, splits

def load(**_):
    rows = read("rows", Path(__file__).parent)
    items = [choice_item(identity=str(n), choices=["yes", "no"], gold=0, **row) for n, row in enumerate(rows)]
    return splits(test=items, fewshot=[])
"""
DEFINITION = """
task: from_folder
custom_dataset: !function utils.load
test_split: test
fewshot_split: fewshot
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: gold
metadata: {version: 1, domain: general, items: 1, chance: 0.5, data: [rows]}
"""
PIN = {"path": "rows.jsonl", "format": "jsonl", "records": 1, "licence": "own"}


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "environment"))
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(tmp_path / "cache"))


@pytest.fixture
def task_folder(tmp_path: Path) -> Path:
    """A task that reads `rows.jsonl` from the data folder."""
    folder = tmp_path / "task"
    folder.mkdir()
    (folder / "utils.py").write_text(LOADER)
    (folder / "from_folder.yaml").write_text(DEFINITION)
    (folder / "data.yaml").write_text(yaml.safe_dump({"files": {"rows": PIN}}))
    return folder


def folder_with(tmp_path: Path, question: str) -> Path:
    folder = tmp_path / question
    folder.mkdir()
    (folder / "rows.jsonl").write_text(json.dumps({"question": question}) + "\n")
    return folder


def test_the_folder_holds_inside_the_block_only(tmp_path: Path) -> None:
    before = dict(os.environ)
    with use_data_dir(tmp_path / "own"):
        assert data_dir() == tmp_path / "own"
        assert dict(os.environ) == before
    assert data_dir() == tmp_path / "environment"
    assert dict(os.environ) == before


def test_nested_blocks_restore_the_outer_folder(tmp_path: Path) -> None:
    with use_data_dir(tmp_path / "outer"):
        with use_data_dir(tmp_path / "inner"):
            assert data_dir() == tmp_path / "inner"
            with use_data_dir(None):
                assert data_dir() == tmp_path / "inner"
        assert data_dir() == tmp_path / "outer"
    assert data_dir() == tmp_path / "environment"


def test_an_error_inside_the_block_restores_the_folder(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="inside"), use_data_dir(tmp_path / "own"):
        raise RuntimeError("inside")
    assert data_dir() == tmp_path / "environment"


def test_without_the_variable_there_is_no_folder_after_the_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HARNESS_DATA")
    with use_data_dir(tmp_path / "own"):
        assert data_dir() == tmp_path / "own"
    assert data_dir() is None


def test_a_tilde_is_expanded() -> None:
    with use_data_dir(Path("~/benchmarks")):
        assert data_dir() == Path.home() / "benchmarks"


def test_a_loader_that_lm_eval_calls_reads_from_the_folder(tmp_path: Path, task_folder: Path) -> None:
    for question in ("first", "second"):
        with use_data_dir(folder_with(tmp_path, question)):
            task = Catalogue([task_folder]).load(["from_folder"]).tasks["from_folder"]
        assert [doc["question"] for doc in task.eval_docs] == [question]


def test_reading_after_the_block_does_not_use_the_folder(tmp_path: Path, task_folder: Path) -> None:
    with use_data_dir(folder_with(tmp_path, "own")):
        assert data.read("rows", task_folder) == [{"question": "own"}]
    with pytest.raises(InputError, match="environment: no such folder"):
        data.read("rows", task_folder)


def test_the_tasks_command_leaves_no_folder_behind(
    tmp_path: Path, task_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    tasks_command.add_arguments(parser)
    words = ["validate", "from_folder", "--include_path", str(task_folder), "--run_code", "--data_dir"]
    assert tasks_command.run(parser.parse_args([*words, str(folder_with(tmp_path, "own"))])) == 0
    assert "1 item" in capsys.readouterr().out
    assert data_dir() == tmp_path / "environment"


def _map_with(processes: int | None) -> str:
    rows = datasets.Dataset.from_dict({"n": [0, 1]})
    with use_data_dir(Path("/own")):
        mapped = rows.map(lambda _: {"folder": str(data_dir())}, num_proc=processes, load_from_cache_file=False)
    (folder,) = set(mapped["folder"])
    return str(folder)


def _in_forked_pool() -> str:
    with use_data_dir(Path("/own")), ProcessPoolExecutor(1, mp_context=get_context("fork")) as pool:
        return str(pool.submit(data_dir).result())


def _in_thread_with_context() -> str:
    with use_data_dir(Path("/own")), ThreadPoolExecutor(1) as pool:
        return str(pool.submit(contextvars.copy_context().run, data_dir).result())


@pytest.mark.parametrize(
    "read",
    [lambda: _map_with(None), lambda: _map_with(2), _in_forked_pool, _in_thread_with_context],
    ids=["datasets_map", "datasets_map_in_processes", "forked_pool", "thread_with_copied_context"],
)
def test_workers_started_inside_the_block_see_the_folder(read: Callable[[], str]) -> None:
    assert read() == "/own"


def test_a_thread_started_elsewhere_does_not_see_the_folder(tmp_path: Path) -> None:
    with use_data_dir(tmp_path / "own"), ThreadPoolExecutor(1) as pool:
        assert pool.submit(data_dir).result() == tmp_path / "environment"
