"""The comparison of two snapshots finds what it must find and accepts what the list allows."""

from __future__ import annotations

import copy
import json
import sqlite3
from collections.abc import Callable
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.unchanged import plan
from tests.unchanged.compare import differences
from tests.unchanged.normalise import Normaliser
from tests.unchanged.pages import read_page
from tests.unchanged.places import write_metadata
from tests.unchanged.replay import problem_of
from tests.unchanged.snapshot import Snapshot, take

RECORD = {
    "model": {"name": "tiny-first", "digest": "sha256:ab12"},
    "tasks": {"t_choice": {"value": 0.25, "items": 12, "interval": None}},
    "notes": ["t_choice: 3 of 12 inputs were cut"],
    "time": "2025-01-02T03-04-05.678",
}
MANIFEST = {"trainer": {"entry_point": "trainers.sft:train"}, "tokens": 1500, "wall_seconds": 2.5}
Change = Callable[[Path], None]


def make(folder: Path) -> Path:
    """A folder as `make` leaves it, with one run, one stage and one answer."""
    run = folder / "out" / "zero-shot" / "tiny-first"
    stage = folder / "out" / "trained" / "stage-tuned"
    for place in (run, stage, folder / "cache"):
        place.mkdir(parents=True)
    (run / "run_2025-01-02T03-04-05.678.json").write_text(json.dumps(RECORD))
    (stage / "stage.json").write_text(json.dumps(MANIFEST))
    printed = {"words": ["eval"], "exit": 0, "out": "t_choice  0.25  12 items, 3.1 s\n", "err": ""}
    made = {"root": "/somewhere", "commands": {"eval-zero-shot": printed}}
    (folder / "commands.json").write_text(json.dumps(made))
    database = sqlite3.connect(folder / "cache" / "journal.sqlite")
    database.execute("CREATE TABLE answers (key, answerer, logprob, is_greedy, text, tokens, cut_tokens)")
    database.execute("CREATE TABLE answerers (answerer, description)")
    database.execute("INSERT INTO answers VALUES (x'01', x'02', -1.5, 0, NULL, 3, 0)")
    database.execute("INSERT INTO answerers VALUES (x'02', '{\"engine\": \"hf\"}')")
    database.commit()
    database.close()
    return folder


def edit(name: str, old: str, new: str) -> Change:
    """Replace text in the one file of this name."""

    def change(folder: Path) -> None:
        (path,) = folder.rglob(name)
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return change


def in_journal(statement: str) -> Change:
    def change(folder: Path) -> None:
        database = sqlite3.connect(folder / "cache" / "journal.sqlite")
        database.execute(statement)
        database.commit()
        database.close()

    return change


def kinds(before: Snapshot, after: Snapshot) -> list[str]:
    return [one.kind for one in differences(before, after, Normaliser.read())]


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (edit("run_*.json", "0.25", "0.250001"), ["changed"]),
        (edit("run_*.json", "12,", "12.0,"), ["changed"]),
        (edit("run_*.json", '"items"', '"n_items"'), ["missing", "new"]),
        (edit("run_*.json", "sha256:ab12", "sha256:ab13"), ["changed"]),
        (edit("run_*.json", '"tiny-first"', '"tiny first"'), ["changed"]),
        (edit("run_*.json", "3 of 12", "4 of 12"), ["changed"]),
        (edit("run_*.json", "t_choice: 3", "t_other: 3"), ["changed"]),
        (edit("stage.json", "trainers.sft", "trainers.sfft"), ["changed"]),
        (edit("commands.json", "0.25", "0.26"), ["changed"]),
        (edit("commands.json", '"exit": 0', '"exit": 1'), ["changed"]),
        (in_journal("UPDATE answers SET key = x'03'"), ["missing", "new"]),
        (in_journal("UPDATE answers SET logprob = -1.5000001"), ["changed"]),
        (in_journal('UPDATE answerers SET description = \'{"engine": "vllm"}\''), ["changed"]),
    ],
)
def test_a_change_of_behaviour_is_found(tmp_path: Path, change: Change, found: list[str]) -> None:
    before, after = make(tmp_path / "before"), make(tmp_path / "after")
    change(after)
    assert kinds(take(before), take(after)) == found


@pytest.mark.parametrize(
    "change",
    [
        edit("run_*.json", "inputs were cut", "inputs exceed the context"),
        edit("commands.json", "items, 3.1 s", "samples, 2.9 s"),
    ],
)
def test_a_reworded_text_is_listed_and_allowed(tmp_path: Path, change: Change) -> None:
    before, after = make(tmp_path / "before"), make(tmp_path / "after")
    change(after)
    assert kinds(take(before), take(after)) == ["reworded"]


@pytest.mark.parametrize(
    "change",
    [
        edit("stage.json", "trainers.sft:train", "harness.trainers.sft:train"),
        edit("stage.json", "2.5", "3.5"),
        edit("run_*.json", "2025-01-02T03-04-05.678", "2025-01-02T03-04-06"),
        edit("commands.json", "3.1 s", "12.9 s"),
        edit("commands.json", "0.25  12", "0.25     12"),
        edit("commands.json", '"err": ""', '"err": "Loading: 100%|███| 4/4 [00:00<00:00, 793.06it/s]\\n"'),
    ],
)
def test_moved_modules_times_and_widths_are_no_difference(tmp_path: Path, change: Change) -> None:
    before, after = make(tmp_path / "before"), make(tmp_path / "after")
    change(after)
    assert kinds(take(before), take(after)) == []


def test_of_the_source_of_a_function_only_its_name_is_compared_and_only_where_it_is_listed() -> None:
    normaliser = Normaliser.read()
    source = {"configs": {"mini_logic": {"process_results": "def cloze(doc):\n    return 1"}}, "doc": "def f(x): ..."}
    assert normaliser.apply("files/a.json", source) == {
        "configs": {"mini_logic": {"process_results": "def cloze"}},
        "doc": "def f(x): ...",
    }


def test_a_lost_file_is_found(tmp_path: Path) -> None:
    snapshot = take(make(tmp_path / "before"))
    fewer: dict[str, Any] = copy.deepcopy(snapshot)
    del fewer["files/trained/stage-tuned/stage.json"]
    assert kinds(snapshot, fewer) == ["missing"]


def test_of_a_page_its_data_ids_and_texts_are_kept() -> None:
    page = read_page(
        '<h1 id="top">Rank  1</h1><style>p {}</style><td data-sort="0.5" title="half">0.5</td>'
        '<script type="application/json" id="items">{"a": 1}</script><script>var x = 2</script>'
    )
    assert page == {
        "ids": ["top", "items"],
        "values": ["data-sort=0.5"],
        "labels": "half",
        "text": "Rank 1\n0.5",
        "data": {"items": {"a": 1}},
    }


def test_names_of_runs_are_unique_and_those_with_models_are_replayed_elsewhere() -> None:
    runs = plan.everything()
    replayed = plan.engine_runs("replayed") | plan.trained_runs("replayed")
    assert set(replayed) < set(runs)
    assert all(words[-1].startswith("replayed/") for words in replayed.values())


def test_the_entry_points_of_this_checkout_can_be_found_without_installing_it(tmp_path: Path) -> None:
    write_metadata(tmp_path)
    (found,) = distributions(path=[str(tmp_path)])
    assert found.metadata["Name"] == "stage-harness"
    trainers = found.entry_points.select(group="harness.trainers")
    assert {point.name for point in trainers} == {"pretrain", "sft", "dpo", "kto", "grpo", "average"}
    assert all(find_spec(point.module) for point in trainers)


def test_a_replay_fails_where_an_engine_was_opened() -> None:
    known = {"model": {"name": "tiny-first"}, "engine": None}
    asked = {"model": {"name": "tiny-second"}, "engine": {"engine": "hf"}}
    assert problem_of([known]) == ""
    assert problem_of([known, asked]) == "an engine was asked for tiny-second"
