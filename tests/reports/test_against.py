"""`leaderboard --against MODEL`: the overall differences of `compare`, below the ranks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.reports.conftest import Command


def test_the_differences_are_those_of_compare_with_this_baseline(command: Command, runs: Path) -> None:
    code, out, err = command("leaderboard", runs, "--against", "uniform", "--format", "json")
    assert (code, err) == (0, "")
    board = json.loads(out)
    words = ("compare", "oracle", "corrupted", "--baseline", "uniform", "--runs", runs, "--format", "json")
    overall = json.loads(command(*words)[1])["tables"]["overall"]
    expected = {row["arm"]: row for row in overall if row["domain"] == "overall"}
    rows = {row["model"]: row for row in board["tables"]["against"]}
    assert rows.keys() == expected.keys() == {"oracle", "corrupted"}
    for model, row in rows.items():
        for key in ("difference", "standard_error", "interval", "p", "p_corrected", "detectable"):
            assert row[key] == expected[model][key], key
    values = {row["model"]: row["overall"] for row in board["tables"]["leaderboard"]}
    for model, row in rows.items():
        assert row["difference"] == pytest.approx(values[model] - values["uniform"])
    real = [f"{model} ({row['difference']:+.3f})" for model, row in rows.items() if row["p_corrected"] <= 0.05]
    assert real
    assert board["notes"][1] == (
        f"{len(real)} of 2 models {'differs' if len(real) == 1 else 'differ'} overall from uniform after Holm's "
        f"correction: {', '.join(real)}."
    )


def test_the_page_compares_every_model_with_the_chosen_one(command: Command, runs: Path, tmp_path: Path) -> None:
    words = ("leaderboard", runs, "--against", "corrupted", "--output_path")
    for ending in ("html", "json"):
        assert command(*words, tmp_path / f"board.{ending}")[0] == 0
    page = (tmp_path / "board.html").read_text(encoding="utf-8")
    board = json.loads((tmp_path / "board.json").read_text(encoding="utf-8"))
    assert "Where does each model differ from corrupted?" in page
    assert '<option value="arm:corrupted" selected>' in page
    assert board["notes"][1].replace("'", "&#39;") in page.partition("<main>")[0], "the answer names it"
    data = json.loads(page.partition('id="matrix-data">')[2].partition("</script>")[0])
    assert data["arms"][data["reference"]] == "corrupted"
    overall = {data["arms"][row[1]]: row for row in data["against"] if data["tasks"][row[2]] == "overall"}
    rows = {row["model"]: row for row in board["tables"]["against"]}
    assert overall.keys() == rows.keys() == {"oracle", "uniform"}
    for model, row in rows.items():
        expected = [row["difference"], *row["interval"], row["p"], row["p_corrected"], row["detectable"]]
        assert overall[model][3:9] == pytest.approx(expected, abs=5.1e-4)
    assert "--chosen" not in page, "the reader chose the baseline, and not by its value"


def test_the_ranks_stay_as_they_are(command: Command, runs: Path) -> None:
    plain = command("leaderboard", runs, "--format", "csv")[1]
    assert command("leaderboard", runs, "--against", "uniform", "--format", "csv")[1] == plain


def test_a_model_that_is_not_on_the_board_is_refused_with_the_nearest(command: Command, runs: Path) -> None:
    code, out, err = command("leaderboard", runs, "--against", "unifrom")
    assert (code, out) == (2, "")
    assert err.startswith("harness leaderboard: --against unifrom: no such model; give one of ")
    assert "Did you mean uniform?" in err
    assert err.count("\n") == 1
