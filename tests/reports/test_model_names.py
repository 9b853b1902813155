"""Models of one name get names that say what differs, the same in tables, pages, the viewer and exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.records import index, naming_notes, with_distinct_names
from tests.reports.conftest import Command
from tests.reports.records_for_tests import TIME, write_run

LATER = "2024-01-02T10-30-00.000000"


def write(folder: Path, *, time: str = TIME, shots: int = 0, config: dict[str, Any] | None = None, **more: str) -> Path:
    """Write a run of the model ``m`` with other settings, and return its folder."""
    place = write_run(folder, "m", range(9))
    file = place / f"results_{TIME}.json"
    written = json.loads(file.read_text(encoding="utf-8"))
    written["n-shot"] = dict.fromkeys(written["n-shot"], shots)
    written["config"] |= config or {}
    file.write_text(json.dumps(written | more), encoding="utf-8")
    for old in place.glob(f"*_{TIME}.json*"):
        old.rename(old.with_name(old.name.replace(TIME, time)))
    return place


def names(folder: Path) -> list[str]:
    return [model.name for model in index([folder], all_runs=True).models]


FOUR_BIT = {"model_dtype": "torch.bfloat16", "model_args": {"pretrained": "m", "load_in_4bit": True}}
SHA = {"model_sha": "sha256:3f2a91c0aa"}


@pytest.mark.parametrize(
    ("one", "two", "expected"),
    [
        ({}, {"shots": 5}, ["m (0-shot)", "m (5-shot)"]),
        ({}, {"chat_template_sha": "ab12cd34ef"}, ["m (chat template ab12cd34)", "m (no chat template)"]),
        ({"config": {"model_dtype": "torch.bfloat16"}}, {"config": FOUR_BIT}, ["m (bfloat16)", "m (bfloat16 4 bit)"]),
        ({}, {}, ["m (2024-01-01)", "m (2024-01-02)"]),
        ({"time": "2024-01-02T09-15-00.000000"}, {}, ["m (2024-01-02 09:15)", "m (2024-01-02 10:30)"]),
        ({"config": SHA}, {"config": {"model_sha": "sha256:77b1e04d"}}, ["m (3f2a91c0)", "m (77b1e04d)"]),
    ],
    ids=["few-shot", "template", "quantization", "date", "time of day", "weights"],
)
def test_runs_of_one_name_are_told_apart_by_what_differs(
    tmp_path: Path, one: dict[str, Any], two: dict[str, Any], expected: list[str]
) -> None:
    write(tmp_path / "a", **one)
    write(tmp_path / "b", **{"time": LATER, **two})
    assert set(names(tmp_path)) == set(expected)


def test_a_setting_that_tells_nothing_more_apart_is_not_named(tmp_path: Path) -> None:
    write(tmp_path / "a")
    write(tmp_path / "b", shots=5, time=LATER)
    write(tmp_path / "c", shots=5, time="2024-01-03T10-30-00.000000", chat_template_sha="ab12cd34ef")
    plain, template = "no chat template", "chat template ab12cd34"
    expected = {f"m (0-shot, {plain})", f"m (5-shot, {template})", f"m (5-shot, {plain})"}
    assert set(names(tmp_path)) == expected


def test_copies_of_one_run_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    places = [write(tmp_path / "a"), write(tmp_path / "b")]
    models = [model for place in places for model in index([place]).models]
    assert [model.name for model in with_distinct_names(models)] == [f"m ({place})" for place in places]


def test_one_model_keeps_its_name(tmp_path: Path) -> None:
    write(tmp_path / "a")
    models = index([tmp_path], all_runs=True).models
    assert [model.name for model in models] == ["m"]
    assert naming_notes(models) == []


def test_a_note_explains_the_brackets_in_every_report(tmp_path: Path, command: Command) -> None:
    places = [write(tmp_path / "a"), write(tmp_path / "b", time=LATER, shots=5)]
    note = "2 runs are named m; the brackets show how they differ."
    for words in (["compare", *places], ["leaderboard", tmp_path, "--all"]):
        code, out, err = command(*words, "--force")
        assert code == 0, err
        assert "m (5-shot)" in out
        assert note in " ".join(out.split())
