"""An edited file changes the nodes that read it, and no others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from harness.study.evaluations import flag_words
from harness.study.experiment import read_experiment
from harness.study.graph import build_graph
from harness.study.nodes import Graph
from tests.study.conftest import Study
from tests.tasks_for_tests import CHOICE

# What the stages read, by stage: a field of the stage file, and the file in the test's folder that it names.
STAGES: dict[str, tuple[dict[str, Any], str]] = {
    "file": ({"data": {"sources": {"a": {"path": "data/a.jsonl"}}}}, "data/a.jsonl"),
    "glob": ({"data": {"sources": {"a": {"path": "glob/*.jsonl"}}}}, "glob/b.jsonl"),
    "folder": ({"data": {"sources": {"a": {"path": "tree"}}}}, "tree/deep/a.py"),
    "held_out": ({"evaluate": {"sources": {"a": {"path": "data/held.jsonl"}}}}, "data/held.jsonl"),
    "hub_data": ({"data": {"sources": {"a": {"hub": "org/data"}}}}, "org/data/part/0.jsonl"),
    "hub_readme": ({"data": {"sources": {"a": {"hub": "org/other"}}}}, "org/other/README.md"),
    "model": ({"from": "org/model"}, "org/model/model.safetensors"),
    "model_words": ({"from": "org/twin"}, "org/twin/tokenizer.json"),
    "average": ({"checkpoints": ["org/third"]}, "org/third/config.json"),
    "tokenizer": ({"tokenizer": "words"}, "words/tokenizer.json"),
    "tokenizer_with_config": ({"tokenizer": "more_words"}, "more_words/config.json"),
    "chat_template": ({"chat_template": "chat.jinja"}, "chat.jinja"),
    "deepspeed": ({"trainer": {"deepspeed": "zero.json"}}, "zero.json"),
    "fsdp": ({"trainer": {"fsdp_config": "fsdp.json"}}, "fsdp.json"),
}
MODELS = ("org/model", "org/twin", "org/third")


def _change(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b" ")


@pytest.fixture
def graph_of(tmp_path: Path, site: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Graph]:
    """Build the graph of an experiment that is read in `tmp_path`."""
    monkeypatch.chdir(tmp_path)

    def build(**fields: Any) -> Graph:
        path = tmp_path / "experiment.yaml"
        path.write_text(yaml.safe_dump({"name": "inputs", "overlap": False, **fields}))
        return build_graph(read_experiment(path))

    return build


@pytest.mark.parametrize("edited", STAGES)
def test_an_edited_file_changes_the_stage_that_reads_it(
    edited: str, graph_of: Callable[..., Graph], fakes: Path, tmp_path: Path
) -> None:
    for model in MODELS:
        shutil.copytree(fakes / "template", tmp_path / model)
    for _, file in STAGES.values():
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        if not (tmp_path / file).exists():
            (tmp_path / file).write_text("{}")
    stages = {name: {"stage": "fake", "seed": n, **fields} for n, (name, (fields, _)) in enumerate(STAGES.items())}
    before = graph_of(stages=stages)
    _change(tmp_path / STAGES[edited][1])
    after = graph_of(stages=stages)
    assert [before[key].stage for key in before if key not in after] == [edited]


LOADER = """
import json
from pathlib import Path

def load(**_):
    import datasets
    rows = json.loads((Path(__file__).parent / "rows.json").read_text())
    return {"test": datasets.Dataset.from_list(rows)}
"""
# By file: the tasks that read it.
TASKS = {
    "tasks/a.yaml": ["a", "group", "tag"],
    "tasks/_base.yaml": ["a", "group", "tag"],
    "tasks/utils.py": ["a", "group", "tag"],
    "tasks/helper.py": ["a", "group", "tag"],
    "tasks/a.jsonl": ["a", "group", "tag"],
    "tasks/b.yaml": ["b", "group"],
    "tasks/b.jsonl": ["b", "group"],
    "tasks/group.yaml": ["group"],
    "tasks/loaded/c.yaml": ["c"],
    "tasks/loaded/loader.py": ["c"],
    "tasks/loaded/rows.json": ["c"],
    "tasks/unused.py": [],
    "tasks/unused.yaml": [],
    "tasks/folder/d.yaml": ["d"],
    "data/d/part.parquet": ["d"],
    "tasks/listed/e.yaml": ["e"],
    "data/e.jsonl": ["e"],
    "data/other.jsonl": [],
}


READ_BY_ALL = ("tasks/unused.yaml", "tasks/utils.py")


def _write_tasks(folder: Path) -> None:
    """Five tasks: a includes a file and names a function; b has data of its own; c has a loader; d's data is a folder;
    the data of e is in the manifest, without a digest."""
    for name in TASKS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}\n" if name.endswith(("jsonl", "json", "parquet")) else "# nothing\n")
    tasks = folder / "tasks"
    fields = yaml.safe_load(CHOICE.format(name="b", data=tasks / "b.jsonl", domain="logic"))
    (tasks / "b.yaml").write_text(yaml.safe_dump(fields))
    (tasks / "_base.yaml").write_text(
        CHOICE.replace("task: {name}\n", "").format(data=tasks / "a.jsonl", domain="logic")
    )
    (tasks / "a.yaml").write_text("include: _base.yaml\ntask: a\ntag: [marked]\nprocess_docs: !function utils.same\n")
    (tasks / "utils.py").write_text("import math\nimport helper\n\ndef same(docs):\n    return docs\n")
    (tasks / "helper.py").write_text("import utils\n")
    (tasks / "group.yaml").write_text("group: both\ntask: [a, b]\n")
    (tasks / "unused.yaml").write_text(yaml.safe_dump(fields | {"task": "unused"}))
    without_data = {name: value for name, value in fields.items() if not name.startswith("dataset")}
    (tasks / "loaded" / "c.yaml").write_text(
        yaml.safe_dump(without_data | {"task": "c"}) + "custom_dataset: !function loader.load\n"
    )
    (tasks / "loaded" / "loader.py").write_text(LOADER)
    kwargs = {"data_dir": str(folder / "data" / "d"), "data_files": {"test": "part.parquet"}}
    (tasks / "folder" / "d.yaml").write_text(
        yaml.safe_dump(fields | {"task": "d", "dataset_path": "parquet", "dataset_kwargs": kwargs})
    )
    metadata = {"version": 1, "domain": "logic", "data": ["e"]}
    (tasks / "listed" / "e.yaml").write_text(
        yaml.safe_dump(without_data | {"task": "e", "dataset_path": "json", "metadata": metadata})
    )
    entry = {"path": "e.jsonl", "records": 1, "licence": "MIT", "format": "jsonl"}
    (tasks / "listed" / "data.yaml").write_text(json.dumps({"files": {"e": entry}}))


@pytest.mark.parametrize("edited", [*TASKS, "tasks/listed/data.yaml"])
def test_an_edited_file_changes_the_evaluations_that_read_it(
    edited: str, graph_of: Callable[..., Graph], tmp_path: Path
) -> None:
    _write_tasks(tmp_path)
    flags = {"include_path": str(tmp_path / "tasks"), "data_dir": str(tmp_path / "data")}
    sections = {name: name for name in "abcde"} | {"group": "both", "tag": "marked", "glob": "[cd]"}
    of_all = ["all"] if edited in READ_BY_ALL else []  # a second, because these are the project's tasks, too
    sections |= dict.fromkeys(of_all, "all") | {
        "files": str(tmp_path / "tasks/loaded/*.yaml"),
        "folder": str(tmp_path / "tasks/folder"),
    }
    evaluate = [{"name": name, "tasks": [tasks], "flags": flags} for name, tasks in sections.items()]
    fields = {"stages": {"base": {"stage": "fake"}}, "evaluate": evaluate, "report": {"leaderboard": False}}
    before = graph_of(**fields)
    file = tmp_path / edited
    if edited.endswith("data.yaml"):
        file.write_text(file.read_text().replace('"records": 1', '"records": 2'))
    else:
        file.write_text(file.read_text() + "\n# edited\n")
    after = graph_of(**fields)
    readers = TASKS.get(edited, ["e"])
    expected = [*readers, *(["glob"] if set(readers) & {"c", "d"} else [])]
    expected += [name for task, name in (("c", "files"), ("d", "folder")) if task in readers]
    expected += of_all
    assert sorted(before[key].alike for key in before if key not in after) == sorted(expected)


def test_an_edited_file_of_item_numbers_changes_the_evaluation(study: Study, own_cache: Path) -> None:
    file = study.folder / "items.json"
    file.write_text('{"t_choice": [0]}')
    study.fields["evaluate"]["flags"]["samples"] = str(file)
    before = build_graph(read_experiment(study.write()))
    file.write_text('{"t_choice": [1]}')
    kinds = {node.kind for key, node in build_graph(read_experiment(study.path)).items() if key not in before}
    assert kinds == {"evaluate", "report"}


def test_a_flag_that_is_off_is_no_word_unless_its_default_is_on() -> None:
    words = flag_words({"fewshot_as_multiturn": False, "trust_remote_code": False, "apply_chat_template": True})
    assert words == ("--fewshot_as_multiturn", "false", "--apply_chat_template")


def test_an_edited_tokenizer_of_an_evaluation_changes_it(study: Study, own_cache: Path, fakes: Path) -> None:
    place = study.folder / "words"
    shutil.copytree(fakes / "template", place)
    study.fields["evaluate"]["flags"]["tokenizer"] = str(place)
    before = build_graph(read_experiment(study.write()))
    _change(place / "tokenizer.json")
    kinds = {node.kind for key, node in build_graph(read_experiment(study.path)).items() if key not in before}
    assert kinds == {"evaluate", "report"}
