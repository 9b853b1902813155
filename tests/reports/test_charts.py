"""Charts for a paper: SVG, PNG and a Vega-Lite specification that contains the numbers of the comparison."""

from __future__ import annotations

import json
from pathlib import Path

from tests.reports.conftest import Command
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
