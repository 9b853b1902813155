"""A samples file that contradicts itself or its results file: one line that names it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import HarnessCommand

from .records_for_tests import write_run


def _with_first_line(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    samples = next(folder.glob("samples_*"))
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    change(rows[0])
    samples.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return samples


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("x", "line 1: acc is 'x', not a number"),
        ([1.0], "line 1: acc is [1.0], not a number"),
        ({}, "line 1: acc is {}, not a number"),
        (7.0, "its items have acc 0.590909 on average, but its results file has 0.318182"),
        (None, "its items have acc 0.285714 on average, but its results file has 0.318182"),
        (float("nan"), "its items have acc 0.285714 on average"),
    ],
)
@pytest.mark.parametrize("command", ["compare", "leaderboard"])
def test_a_damaged_metric_value_is_refused_and_the_file_is_named(
    command: str, value: object, problem: str, tmp_path: Path, harness_here: HarnessCommand
) -> None:
    first, second = write_run(tmp_path, "a", range(7)), write_run(tmp_path, "b", range(9))
    samples = _with_first_line(first, lambda row: row.update(acc=value))
    done = harness_here(command, first, second)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert f"{samples}: {problem}" in done.stderr


def test_a_value_that_the_record_does_not_call_a_mean_is_compared_without_a_test(
    tmp_path: Path, harness_here: HarnessCommand
) -> None:
    for name, right in (("a", range(7)), ("b", range(9))):
        folder = write_run(tmp_path, name, right)
        for file in folder.iterdir():
            file.write_text(file.read_text(encoding="utf-8").replace('"acc', '"pooled'), encoding="utf-8")
        _with_first_line(folder, lambda row: row.update(pooled=0.5))
    done = harness_here("compare", tmp_path / "a", tmp_path / "b")
    assert done.returncode == 0, done.stderr
    text = " ".join(done.stdout.split())
    assert "pooled is not a mean over items" in text
    assert "survives" not in text
    assert "no task could be tested" in text


@pytest.mark.parametrize("key", ["resps", "arguments", "doc"])
def test_a_page_names_the_line_that_lacks_a_field(key: str, tmp_path: Path, harness_here: HarnessCommand) -> None:
    first, second = write_run(tmp_path, "a", range(7)), write_run(tmp_path, "b", range(1, 9))
    samples = _with_first_line(first, lambda row: row.pop(key))
    page = tmp_path / "page.html"
    done = harness_here("compare", first, second, "--output_path", page)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1), done.stderr
    assert f"{samples}: line 1 lacks {key}" in done.stderr
    assert not page.exists()
