"""Charts for a paper: SVG, PNG and a Vega-Lite specification that contains the numbers of the comparison."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from harness.reports.analysis.all_pairs import comparison_matrix
from harness.reports.analysis.comparison import compare
from harness.reports.analysis.differences import Arm
from harness.reports.analysis.intervals import IntervalCache
from harness.reports.charts.charts import charts
from harness.reports.page.differences_view import forest_view
from tests.reports.conftest import Command
from tests.reports.models_for_tests import model
from tests.reports.records_for_tests import rows_in


def test_each_chart_is_three_files_with_the_numbers_of_the_table(command: Command, runs: Path, tmp_path: Path) -> None:
    models = ("corrupted", "uniform", "oracle")
    words = ("compare", *(runs / model for model in models), "--format", "json", "--charts", tmp_path / "charts")
    code, out, err = command(*words)
    assert code == 0, err
    for name in ("differences", "heat_map", "domains"):
        assert (tmp_path / "charts" / f"{name}.svg").read_text().startswith("<svg")
        assert (tmp_path / "charts" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    table = {(row["arm"], row["task"]): row for row in json.loads(out)["tables"]["differences"]}
    drawn = rows_in(tmp_path / "charts" / "differences.vl.json")
    assert len(drawn) == len(table) == 6
    for row in drawn:
        expected = table[row["model"], row["task"]]
        assert [row["difference"], row["low"], row["high"]] == [expected["difference"], *expected["interval"]]
        assert (row["after correction"] == "significant") == (expected["p_corrected"] <= 0.05)


def test_the_same_records_give_the_same_pictures(command: Command, runs: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        words = ("compare", runs / "corrupted", runs / "uniform", "--format", "csv", "--charts", tmp_path / name)
        assert command(*words)[0] == 0
    files = sorted((tmp_path / "one").iterdir())
    assert len(files) == 8
    for file in files:
        assert file.read_bytes() == (tmp_path / "two" / file.name).read_bytes(), file.name


def test_losses_are_not_drawn_among_accuracies() -> None:
    rng = np.random.default_rng(3)
    arms = []
    for name in ("old", "new"):
        values = {"logic/right": rng.integers(0, 2, 40).astype(float), "code/held_out_code": rng.normal(3.0, 0.5, 40)}
        directions = {"logic/right": True, "code/held_out_code": False}
        arms.append(Arm(name=name, models=(model(name, values, higher_is_better=directions),)))
    comparison = compare(arms)
    specification = charts(comparison, None, None)["differences"].specification
    assert [[row["task"] for row in rows_in(band)] for band in specification["vconcat"]] == [
        ["right"],
        ["held_out_code"],
    ]
    titles = [json.dumps(band).count("(less is better)") for band in specification["vconcat"]]
    assert titles[0] == 0 < titles[1]
    for drawing in forest_view(comparison_matrix(comparison, None, IntervalCache(), force=False)):
        assert "held_out_code (less is better)</text>" in drawing
        assert "right (less" not in drawing
