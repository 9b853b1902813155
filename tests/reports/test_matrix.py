"""The matrix: values of every arm, differences of every pair; the same numbers as the commands print."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.natural_order import natural_key
from harness.reports.analysis import all_pairs
from harness.reports.analysis.labels import short_labels
from harness.reports.analysis.matrix import PairDifference
from tests.reports.conftest import Command
from tests.reports.records_for_tests import write_run_of
from tests.reports.small_designs import FACTORS, answers, write_study
from tests.reports.study_records import RunTask, write_study_run
from tests.reports.test_stage_pairs import write_three_stages

MODELS = {"first": (8, 9), "second": (10, 14), "third": (17, 20)}


@pytest.fixture
def three(tmp_path: Path) -> Path:
    for name, (logic, paper) in MODELS.items():
        write_run_of(tmp_path, name, {"ceval_logic_paper": range(logic), "other_task": range(22 - paper, 22)})
    return tmp_path


def tables(command: Command, *words: object) -> dict[str, list[dict[str, Any]]]:
    code, out, err = command("compare", *words, "--format", "json")
    assert code == 0, err
    return dict(json.loads(out)["tables"])


def test_each_pair_is_that_of_a_comparison_with_this_baseline_corrected_for_all_pairs(
    command: Command, three: Path
) -> None:
    pairs = tables(command, *MODELS, "--runs", three)["pairs"]
    assert [(row["baseline"], row["arm"]) for row in pairs if row["task"] == "overall"] == list(
        itertools.combinations(MODELS, 2)
    )
    for baseline in ("first", "second"):
        others = [name for name in MODELS if name != baseline]
        expected = tables(command, baseline, *others, "--runs", three, "--chosen")
        rows = {(row["arm"], row["task"]): row for row in expected["differences"]}
        rows |= {(row["arm"], "overall"): row for row in expected["overall"] if row["domain"] == "overall"}
        compared = [row for row in pairs if row["baseline"] == baseline]
        assert len(compared) == 3 * (2 if baseline == "first" else 1)
        for row in compared:
            own = rows[row["arm"], row["task"]]
            for key in ("difference", "interval", "p", "p_corrected", "detectable"):
                assert row[key] == pytest.approx(own[key]), (row, key)
            assert row["gained"] == own.get("gained")


def test_the_value_of_a_single_run_is_that_of_the_leaderboard(command: Command, three: Path) -> None:
    matrix = tables(command, *MODELS, "--runs", three)["matrix"]
    code, out, _ = command("leaderboard", three, "--format", "json")
    assert code == 0
    board = json.loads(out)["tables"]
    values = {(row["model"], row["task"]): row for row in board["tasks"]}
    overall = {row["model"]: row["overall"] for row in board["leaderboard"]}
    assert len(matrix) == 9
    for row in matrix:
        if row["task"] == "overall":
            assert row["value"] == pytest.approx(overall[row["arm"]])
            assert row["interval"][0] < row["value"] < row["interval"][1]
        else:
            own = values[row["arm"], row["task"]]
            assert (row["value"], row["interval"]) == (own["value"], own["interval"])


def test_arms_of_several_seeds_are_averaged_with_the_error_of_their_runs(command: Command, tmp_path: Path) -> None:
    for arm, gain in (("a", 0.0), ("b", 0.3)):
        for seed in range(3):
            values = answers((0, 0), seed, items=60, gain=gain)
            write_study_run(tmp_path, f"{arm}{seed}", {"logic": RunTask(values=values)})
    words = [f"{arm}={','.join(f'{arm}{seed}' for seed in range(3))}" for arm in "ab"]
    cells = {row["arm"]: row for row in tables(command, *words, "--runs", tmp_path)["matrix"] if row["task"] == "logic"}
    for arm, gain in (("a", 0.0), ("b", 0.3)):
        means = [answers((0, 0), seed, items=60, gain=gain).mean() for seed in range(3)]
        assert cells[arm]["value"] == pytest.approx(np.mean(means))
        assert cells[arm]["runs"] == 3
        assert cells[arm]["interval"][0] < min(means) <= max(means) < cells[arm]["interval"][1]


def test_the_pairs_of_a_design_are_its_simple_effects(command: Command, tmp_path: Path) -> None:
    found = tables(command, "--design", write_study(tmp_path))
    contrasts = {(row["task"], row["contrast"]): row for row in found["contrasts"]}
    pairs = {(row["task"], f"{row['arm']}-{row['baseline']}"): row for row in found["pairs"]}
    assert len(pairs) == 3 * 6
    for name, task in itertools.product(("NC-NN", "CC-CN", "CN-NN", "CC-NC"), ("overall", "first", "second")):
        row, own = pairs[task, name], contrasts[task, name]
        assert row["difference"] == pytest.approx(own["estimate"])
        assert row["interval"] == pytest.approx([own["low"], own["high"]])
        assert row["p_corrected"] >= row["p"] == pytest.approx(own["p"])
    means = {row["arm"]: row["mean"] for row in found["arms"]}
    overall = {row["arm"]: row["value"] for row in found["matrix"] if row["task"] == "overall"}
    assert overall == pytest.approx(means)


def test_each_stage_of_a_design_has_its_parent_and_the_difference_of_the_table(
    command: Command, tmp_path: Path
) -> None:
    found = tables(command, "--design", write_three_stages(tmp_path))
    parents = {row["arm"]: row["parent"] for row in found["matrix"]}
    assert parents == {
        "NN": "text parent", "NC": "text parent", "CN": "code parent", "CC": "code parent",
        "text parent": "text grandparent", "code parent": "code grandparent",
        "text grandparent": None, "code grandparent": None,
    }  # fmt: skip
    assert list(parents) == [
        "text grandparent", "code grandparent", "text parent", "code parent", "NN", "NC", "CN", "CC",
    ]  # fmt: skip
    contrasts = {(row["task"], row["contrast"]): row for row in found["contrasts"]}
    pairs = {(row["task"], row["baseline"], row["arm"]): row for row in found["pairs"]}
    for level, arm in itertools.product(FACTORS["pretrain"], "NC"):
        own = contrasts["first", f"{'N' if level == 'text' else 'C'}{arm}-parent"]
        row = pairs["first", f"{level} parent", f"{'N' if level == 'text' else 'C'}{arm}"]
        assert (row["difference"], row["p"]) == (own["estimate"], own["p"])
    stage = contrasts["first", "text parent-grandparent"]
    assert pairs["first", "text grandparent", "text parent"]["difference"] == stage["estimate"]


@pytest.mark.parametrize(
    ("difference", "detectable", "relative"),
    [(0.1, 0.1, 1.0), (-0.05, 0.1, -0.5), (0.9, 0.1, 2.0), (0.1, float("inf"), 0.0), (0.1, float("nan"), 0.0)],
)
def test_the_colour_is_the_difference_in_detectable_effects(
    difference: float, detectable: float, relative: float
) -> None:
    one = PairDifference(
        baseline="a", arm="b", task="t", difference=difference, low=-1.0, high=1.0, p=0.5, p_corrected=0.5,
        detectable=detectable,
    )  # fmt: skip
    assert one.relative == pytest.approx(relative)
    assert one.turned.relative == pytest.approx(-relative)


def test_checkpoints_are_sorted_by_their_numbers(command: Command, tmp_path: Path) -> None:
    for step in (10, 12, 5):
        write_run_of(tmp_path, f"checkpoint-{step}", {"ceval_logic_paper": range(step)})
    code, out, _ = command("leaderboard", tmp_path, "--format", "json")
    assert code == 0
    names = [row["model"] for row in json.loads(out)["tables"]["tasks"]]
    assert sorted(names, key=natural_key) == ["checkpoint-5", "checkpoint-10", "checkpoint-12"]
    assert names == ["checkpoint-5", "checkpoint-10", "checkpoint-12"]


def test_labels_of_checkpoints_are_short_and_distinct() -> None:
    long = "runs/study/a-very-long-name-of-a-training-run"
    names = [f"{long}/training/checkpoint-{step}" for step in (5, 10)]
    assert list(short_labels(names).values()) == ["checkpoint-5", "checkpoint-10"]
    alike = [f"an-equally-long-{letter}-name-of-a-checkpoint" for letter in "abc"]
    labels = short_labels(alike)
    assert len(set(labels.values())) == 3
    assert all(len(label) < 36 for label in labels.values())
    assert short_labels(["x" * 40]) == {"x" * 40: f"{'x' * 10}…{'x' * 11}"}


def test_of_very_many_arms_only_the_first_is_compared_with(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        write_run_of(tmp_path, f"m{number}", {"one": range(5 + number), "two": range(9 - number)})
    words = ["leaderboard", tmp_path, "--format", "html"]
    assert command(*words)[1].count('<option value="arm:') == 4
    monkeypatch.setattr(all_pairs, "MOST_PAIRS", 2)
    page = command(*words)[1]
    assert page.count('<option value="arm:') == 1
    assert len(json.loads(page.split('id="matrix-data">')[1].split("</script>")[0])["pairs"]) == 3 * 3
