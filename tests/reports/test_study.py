"""docs/study.md shows the output of `harness compare` for the table of the study, 8 against 9 right of 22."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness import stats
from tests.conftest import ROOT
from tests.reports.conftest import Command
from tests.reports.records_for_tests import write_run, write_run_of

PAGE = ROOT / "docs" / "study.md"


@pytest.mark.parametrize(("arm", "right"), [("code", range(9)), ("code-worst", range(8, 17))])
def test_the_page_shows_what_the_command_prints(arm: str, right: range, command: Command, tmp_path: Path) -> None:
    write_run(tmp_path, "text", range(8))
    write_run(tmp_path, arm, right)
    code, out, _ = command("compare", "text", arm, "--runs", tmp_path, "--margin", "0.02")
    assert code == 0
    page = PAGE.read_text(encoding="utf-8")
    for line in filter(None, map(str.rstrip, out.splitlines())):
        assert line in page, f"docs/study.md lacks the line: {line}"


def test_one_more_right_answer_of_22_is_no_evidence(command: Command, tmp_path: Path) -> None:
    test = stats.compare_paired([1.0] * 8 + [0.0] * 14, [1.0] * 9 + [0.0] * 13)
    assert test.p == 0.5
    assert test.low < 0.0 < test.high
    write_run(tmp_path, "text", range(8))
    write_run(tmp_path, "code", range(9))
    _, out, _ = command("leaderboard", tmp_path)
    assert "code leads, but cannot be told apart from text." in out


@pytest.mark.parametrize(
    "change",
    [{"config": None}, {"results": []}, {"configs": {"ceval_logic_paper": None}}, {"n-shot": 3}, {"versions": "1"}],
    ids=lambda change: next(iter(change)),
)
def test_a_results_file_with_a_wrong_structure_is_named(
    change: dict[str, Any], command: Command, tmp_path: Path
) -> None:
    write_run(tmp_path, "text", range(8))
    write_run(tmp_path, "code", range(9))
    (results,) = (tmp_path / "code").glob("results_*.json")
    results.write_text(json.dumps(json.loads(results.read_text()) | change))
    code, _, err = command("leaderboard", tmp_path)
    assert code == 2
    assert f"{results}: " in err
    assert "truncated or damaged" in err


def test_a_note_says_that_tasks_differ_only_together(command: Command, tmp_path: Path) -> None:
    for model, right in (("text", range(40)), ("code", range(45))):
        write_run_of(tmp_path, model, {f"task_{number}": right for number in range(8)}, items=100)
    code, out, err = command("compare", "text", "code", "--runs", tmp_path)
    assert code == 0, err
    notes = " ".join(out.split())
    assert "all 8 tasks together differ: +0.067" in notes
    assert "On single tasks, no difference survives Holm's correction." in notes
