"""A name that stands for several runs of one recipe gets the word that makes one arm of them."""

from __future__ import annotations

import json
import shlex
import shutil
from pathlib import Path

import pytest

from harness.reports.commands.families import members
from tests.reports.conftest import Command
from tests.reports.records_for_tests import write_run, write_run_of
from tests.reports.small_designs import answers, lineage
from tests.reports.study_records import RunTask, write_study_run


@pytest.fixture
def seeds(tmp_path: Path) -> Path:
    """Runs of two recipes with two seeds each, in folders of their names."""
    for number, name in enumerate(("NN-0", "NN-1", "NC-0", "NC-1")):
        write_run(tmp_path, name, range(5 + 2 * number))
    return tmp_path


@pytest.mark.parametrize("given", ["folders", "names"])
def test_a_family_of_runs_is_suggested_as_one_arm(
    given: str, seeds: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(seeds)
    more = ["--runs", "."] if given == "names" else []
    code, out, err = command("compare", "NN", "NC", *more)
    assert (code, out) == (2, "")
    assert err == (
        "harness compare: NN: is a family of 2 runs, not one; give NN=NN-0,NN-1 to compare them as the seeds of one "
        "recipe.\n"
    )
    code, out, err = command("compare", "NN=NN-0,NN-1", "NC=NC-0,NC-1", *more)
    assert code == 0, err
    assert "NC against NN" in out


def test_a_folder_keeps_its_path_in_the_suggestion(seeds: Path, command: Command) -> None:
    err = command("compare", seeds / "NN", seeds / "NC")[2]
    assert f"give NN={seeds}/NN-0,{seeds}/NN-1 to" in err


def test_a_folder_with_the_runs_of_one_recipe_is_suggested_too(tmp_path: Path, command: Command) -> None:
    for name in ("NN-0", "NN-1", "NC-0"):
        write_run(tmp_path / name[:2], name, range(8))
    code, _, err = command("compare", tmp_path / "NN", tmp_path / "NC")
    assert code == 2
    place = tmp_path / "NN"
    folders = f"{place}/NN-0,{place}/NN-1"
    assert (
        f"give one of {folders.replace(',', ', ')}, or NN={folders} for all of them as the seeds of one recipe." in err
    )


def test_a_stage_with_several_seeds_is_suggested_by_the_names_of_its_models(tmp_path: Path, command: Command) -> None:
    for name, seed in (("first", 0), ("second", 1)):
        links = lineage(0, 0, seed)
        links[0]["manifest"]["name"] = "tuned"
        write_study_run(tmp_path, name, {"first": RunTask(values=answers((0, 0), seed))}, links)
    err = command("compare", "tuned", "first", "--runs", tmp_path)[2]
    assert "tuned: holds 2 models; give one of first, second, or tuned=first,second for all of them" in err


def test_models_that_are_no_seeds_are_only_listed(runs: Path, command: Command) -> None:
    err = command("compare", runs, runs / "oracle")[2]
    assert (
        f"holds 3 models; give one of {', '.join(f'{runs}/{n}' for n in ('corrupted', 'oracle', 'uniform'))}.\n" in err
    )
    assert "seeds" not in err


def _suggested(err: str) -> list[str]:
    """The words of the command at the end of a message, as a shell splits them."""
    program, *words = shlex.split(err.partition("All of them: ")[2])
    assert program == "harness"
    return words


def test_the_command_that_is_suggested_for_a_folder_of_models_works(tmp_path: Path, command: Command) -> None:
    place = tmp_path / "my runs"
    for name, right in (("one", 8), ("two", 12)):
        write_run(place, name, range(right))
    code, _, err = command("compare", place)
    assert code == 2
    words = _suggested(err)
    assert words == ["compare", str(place / "one"), str(place / "two")]
    assert command(*words)[0] == 0


def test_models_in_one_folder_are_suggested_by_their_names(tmp_path: Path, command: Command) -> None:
    place = write_run(tmp_path, "one", range(8))
    for file in write_run(tmp_path / "other", "two", range(12)).iterdir():
        shutil.copy(file, place / file.name.replace("2024-01", "2024-02"))
    code, _, err = command("compare", place)
    assert code == 2
    words = _suggested(err)
    assert words == ["compare", "--runs", str(place), "one", "two"]
    assert command(*words)[0] == 0


def test_a_model_with_runs_in_two_folders_is_suggested_by_its_name(tmp_path: Path, command: Command) -> None:
    for folder, task in (("first", "t"), ("second", "u")):
        write_run(tmp_path / folder, "one", range(8), task=task)
    write_run_of(tmp_path, "two", {"t": range(9), "u": range(3)})
    words = _suggested(command("compare", tmp_path)[2])
    assert words == ["compare", "--runs", str(tmp_path), "one", "two"]
    code, out, err = command(*words)
    assert code == 0, err
    assert "all 2 tasks together" in out


def test_of_many_models_a_leaderboard_is_suggested(tmp_path: Path, command: Command) -> None:
    for number in range(9):
        write_run(tmp_path, f"m{number}x", range(number + 2))
    err = command("compare", tmp_path)[2]
    assert " and 1 more." in err
    assert _suggested(err) == ["leaderboard", str(tmp_path)]


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("NN", ["NN-10", "NN-2", "NC-1"], ["NN-2", "NN-10"]),
        ("NN", ["NN_seed1", "NN_seed0"], ["NN_seed0", "NN_seed1"]),
        ("NN", ["NN0", "NN1"], ["NN0", "NN1"]),
        ("NN1", ["NN10", "NN11"], []),
        ("NN1", ["NN1-0", "NN1-1"], ["NN1-0", "NN1-1"]),
        ("NN", ["NN-0"], []),
        ("NN", ["NN-a", "NN-b"], []),
        ("run/checkpoint", ["run/checkpoint-10", "run/checkpoint-20"], []),
    ],
)
def test_a_family_is_a_name_with_numbers(name: str, known: list[str], expected: list[str]) -> None:
    assert members(name, known) == expected


def test_steps_of_one_run_are_no_seeds(tmp_path: Path, command: Command) -> None:
    for step in (10, 20):
        place = write_run(tmp_path / "runs", f"checkpoint-{step}", range(8))
        results = next(place.glob("results_*.json"))
        results.write_text(json.dumps(json.loads(results.read_text()) | {"model_name": f"base/checkpoint-{step}"}))
    err = command("compare", tmp_path / "runs", tmp_path)[2]
    assert "holds 2 models" in err
    assert "seeds" not in err
