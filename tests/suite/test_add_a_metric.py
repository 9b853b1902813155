"""The page docs/add_a_metric.md, followed to the letter, with a scripted model."""

from __future__ import annotations

import json
import math
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from harness.records.run_folder import TaskRecord, read_record
from harness.stats import interval
from harness.suite.validation import validate
from tests.conftest import HarnessCommand

from .test_guide import FILES

DOC = (Path(__file__).resolve().parents[2] / "docs" / "add_a_metric.md").read_text(encoding="utf-8")
METRIC_FILES = dict(re.findall(r"`(colours/[\w.]+)`[^\n]*\n\n```\w+\n(.*?)```", DOC, re.DOTALL))
TASK = "colours_probability"
FUNCTION, DEFINITION = "colours/probability.py", f"colours/{TASK}.yaml"
(MEDIAN,) = re.findall(r"```python\n(import statistics\n.*?)```", DOC, re.DOTALL)
(MEDIAN_LINE,) = re.findall(r"```yaml\n(  - \{metric: probability.*?)```", DOC, re.DOTALL)
ITEMS = [
    {"question": f"What colour is thing {n}?", "choices": ["white", "green", "red"], "gold": n % 3} for n in range(13)
]


@pytest.fixture
def colours(tmp_path: Path) -> Path:
    """The task folder of docs/add_a_task.md with the page's two files."""
    for name, text in (*FILES, *METRIC_FILES.items()):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return tmp_path / "colours"


def evaluated(command: HarnessCommand, folder: Path, model: str) -> tuple[TaskRecord, list[dict[str, Any]]]:
    """Run `harness eval` with a scripted model; returns the task's record and the items of its samples file."""
    words = ["eval", "--backend", "scripted", "--model", model, "--include_path", folder, "--tasks", TASK]
    done = command(*words, "--output_path", folder.parent / "runs")
    assert done.returncode == 0, done.stderr
    (samples,) = folder.parent.rglob(f"samples_{TASK}_*.jsonl")
    rows = [json.loads(line) for line in samples.read_text(encoding="utf-8").splitlines()]
    return read_record(samples.parent).tasks[TASK], rows


def test_the_page_adds_one_function_and_one_line() -> None:
    assert METRIC_FILES.keys() == {FUNCTION, DEFINITION}
    assert METRIC_FILES[FUNCTION].count("def ") == 1
    assert len(metric_lines(METRIC_FILES[DEFINITION])) == 1


def test_the_task_with_the_metric_is_valid(colours: Path) -> None:
    (finding,) = validate([TASK], include_paths=[colours], run_code=True)
    assert (finding.status, finding.message) == ("ok", "2 items")


@pytest.mark.parametrize(("model", "right", "wrong"), [("oracle", -1.0, -10.0), ("corrupted", -10.0, -1.0)])
def test_the_metric_is_what_the_page_says(
    colours: Path, harness_here: HarnessCommand, model: str, right: float, wrong: float
) -> None:
    record, _ = evaluated(harness_here, colours, model)
    assert record.metric == "probability,none"
    assert record.value == pytest.approx(math.exp(right) / (math.exp(right) + math.exp(wrong)))


def test_the_interval_is_that_of_the_items_values(colours: Path, harness_here: HarnessCommand) -> None:
    with_items(colours)
    record, rows = evaluated(harness_here, colours, "uniform")
    values = [row["probability"] for row in rows]
    assert len(set(values)) > 1
    expected = interval(values)
    assert record.value == pytest.approx(sum(values) / len(values))
    assert record.interval == pytest.approx((expected.low, expected.high))
    assert record.interval_method == expected.method == "bootstrap-t"


def test_another_aggregation_is_one_function_and_the_line_and_has_no_interval(
    colours: Path, harness_here: HarnessCommand
) -> None:
    with_items(colours)
    function, definition = colours / "probability.py", colours / f"{TASK}.yaml"
    function.write_text(f"{function.read_text()}\n\n{MEDIAN}")
    (mean_line,) = metric_lines(definition.read_text())
    definition.write_text(definition.read_text().replace(mean_line, MEDIAN_LINE))
    record, rows = evaluated(harness_here, colours, "uniform")
    assert record.value == pytest.approx(statistics.median(row["probability"] for row in rows))
    assert (record.interval, record.interval_method) == (None, "none")


def metric_lines(definition: str) -> list[str]:
    return [line for line in definition.splitlines(keepends=True) if "{metric: probability," in line]


def with_items(folder: Path) -> None:
    """More items than the page's three, so that there is an interval: 12 with three choices, the first for few-shot."""
    (folder / "items.jsonl").write_text("".join(json.dumps(item) + "\n" for item in ITEMS))
    definition = folder / f"{TASK}.yaml"
    definition.write_text(definition.read_text().replace("items: 2", "items: 12").replace("0.5", "0.3333"))
