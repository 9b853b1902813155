"""Three processes on one journal, two of them in one output folder, are killed: nothing is lost or duplicated."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.tasks_for_tests import write_tasks
from tests.waiting import CEILING_SECONDS


def _together(tmp_path: Path, seeds: range) -> None:
    tasks = write_tasks(tmp_path / "tasks", items=12)
    words = ["eval", "--backend", "scripted", "--model", "uniform", "--tasks", "t_all", "--include_path", str(tasks)]
    words += ["--model_args", "delay_seconds=0.02", "batch=4"]
    command = [sys.executable, "-m", "tests.evaluation.kill_together", str(tmp_path / "runs"), *map(str, seeds), "--"]
    done = subprocess.run(
        [*command, *words], cwd=ROOT, capture_output=True, text=True, check=False, timeout=4 * CEILING_SECONDS
    )
    assert done.returncode == 0, done.stderr[-3000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["seed"] for row in rows] == list(seeds)
    assert sum(row["killed"] for row in rows) >= 2 * len(seeds), "the kills must fall within the runs"


def test_ten_times_three_killed_processes_lose_and_duplicate_nothing(tmp_path: Path) -> None:
    _together(tmp_path, range(10))


@pytest.mark.slow  # reduced twin: the test above
def test_two_hundred_times_three_killed_processes_lose_and_duplicate_nothing(tmp_path: Path) -> None:
    _together(tmp_path, range(200))
