"""Factors of a design beside the 2 x 2: several levels, slopes, one factor alone, chain of thought."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from tests.reports.conftest import Command
from tests.reports.small_designs import FACTORS, answers, rows_of
from tests.reports.study_records import RunTask, write_design, write_study_run


def further(folder: Path, levels: list[object], gains: list[float]) -> Path:
    """A 2 x 2 whose tuned-with-code arms have a third factor; the others have its reference level only."""
    runs = []
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        for t, tune in enumerate(FACTORS["tune"]):
            for number, (level, gain) in enumerate(zip(levels, gains, strict=True)):
                for seed in range(3):
                    if t == 0 and number:
                        continue
                    name = f"{p}{t}{number}-{seed}"
                    values = answers((p, t), 10 * number + seed, items=200, gain=gain)
                    write_study_run(folder / "runs", name, {"first": RunTask(values=values)})
                    runs.append({"run": f"runs/{name}", "pretrain": pretrain, "tune": tune, "share": level,
                                 "parent": f"{pretrain}-{seed}", "seed": seed})  # fmt: skip
    return write_design(folder / "design.yaml", FACTORS | {"share": levels}, runs)


def test_a_further_factor_is_compared_with_its_reference_and_by_its_slope(command: Command, tmp_path: Path) -> None:
    rows = rows_of(command, "--design", further(tmp_path, [0, 0.3, 0.5], [0.0, 0.06, 0.10]))
    assert {name for task, name in rows if task == "overall"} >= {"share: 0.3-0", "share: 0.5-0", "share: slope"}
    one, two = rows["first", "share: 0.3-0"], rows["first", "share: 0.5-0"]
    assert one["estimate"] == pytest.approx(0.06, abs=0.06)
    assert two["estimate"] == pytest.approx(0.10, abs=0.06)
    for row in (one, two):
        assert row["family"] == "exploratory"
        assert row["p"] < row["p_dunnett"] < 2.01 * row["p"]
        assert row["p_dunnett"] <= row["p_corrected"]
    doses = np.array([0, 0.3, 0.5])
    weights = (doses - doses.mean()) / ((doses - doses.mean()) ** 2).sum()
    expected = weights[1] * one["estimate"] + weights[2] * two["estimate"]
    assert rows["first", "share: slope"]["estimate"] == pytest.approx(expected)
    # The main effects stay at the only level of the further factor that has all four cells: its reference.
    assert rows["first", "tune"]["runs"] == 12


def test_a_factor_of_words_has_no_slope(command: Command, tmp_path: Path) -> None:
    rows = rows_of(command, "--design", further(tmp_path, ["uniform", "up", "down"], [0.0, 0.0, 0.0]))
    names = {name for _, name in rows}
    assert {"share: up-uniform", "share: down-uniform"} <= names
    assert not any("slope" in name for name in names)


def test_one_factor_alone_has_its_main_effect(command: Command, tmp_path: Path) -> None:
    runs = []
    for t, tune in enumerate(("plain", "code")):
        for seed in range(3):
            write_study_run(tmp_path, f"{tune}-{seed}", {"first": RunTask(values=answers((0, t), seed))})
            runs.append({"run": f"{tune}-{seed}", "tune": tune, "parent": f"base-{seed}"})
    rows = rows_of(command, "--design", write_design(tmp_path / "d.yaml", {"tune": ["plain", "code"]}, runs))
    assert set(rows) == {("overall", "tune"), ("first", "tune")}
    assert rows["overall", "tune"]["family"] == "primary"


def test_the_pretraining_factor_comes_first_whatever_the_order_in_the_file(command: Command, small: Path) -> None:
    content = yaml.safe_load(small.read_text())
    content["factors"] = dict(reversed(content["factors"].items()))
    other = small.with_name("swapped.yaml")
    other.write_text(yaml.safe_dump(content, sort_keys=False))
    assert list(yaml.safe_load(other.read_text())["factors"]) == ["tune", "pretrain"]
    assert rows_of(command, "--design", other) == rows_of(command, "--design", small)


def test_chain_of_thought_is_a_factor_within_runs(command: Command, tmp_path: Path) -> None:
    runs, raised = [], {}
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        for t, tune in enumerate(FACTORS["tune"]):
            for seed in range(2):
                name = f"{'NC'[p]}{'NC'[t]}-{seed}"
                direct = answers((p, t), seed)
                cot = np.maximum(direct, answers((p, t), 70 + seed))
                raised[name] = float((cot - direct).mean())
                tasks = {"riddle": RunTask(values=direct), "riddle_cot": RunTask(values=cot, items_of="riddle")}
                write_study_run(tmp_path, name, tasks)
                runs.append({"run": name, "pretrain": pretrain, "tune": tune, "parent": f"{pretrain}-{seed}"})
    rows = rows_of(command, "--design", write_design(tmp_path / "d.yaml", FACTORS, runs))
    assert rows["riddle_cot", "cot"]["estimate"] == pytest.approx(np.mean(list(raised.values())))
    arm = {label: np.mean([raised[f"{label}-{seed}"] for seed in range(2)]) for label in ("NN", "NC", "CN", "CC")}
    for label, gain in arm.items():
        assert rows["riddle_cot", f"cot {label}"]["estimate"] == pytest.approx(gain)
    expected = (arm["CN"] + arm["CC"] - arm["NN"] - arm["NC"]) / 2
    assert rows["riddle_cot", "cot x pretrain"]["estimate"] == pytest.approx(expected)
    assert rows["riddle_cot", "cot x interaction"]["family"] == "exploratory"
    # Both tasks have the same items, so overall they count once: half the sum of their effects, over 1 - chance.
    both = (rows["riddle", "tune"]["estimate"] + rows["riddle_cot", "tune"]["estimate"]) / 2
    assert rows["overall", "tune"]["estimate"] == pytest.approx(both / 0.75)
