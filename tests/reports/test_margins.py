"""The verdict of the overall value at a margin: the rule of the tasks, one claim more in their correction."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.special import ndtr

from harness.records import ModelRecords
from harness.reports.analysis.differences import Comparison, DomainDifference
from harness.reports.documents.comparison import comparison_document
from tests.reports.conftest import Command
from tests.reports.models_for_tests import answers, model, versus
from tests.reports.records_for_tests import write_run_of


def _at_overall_margin(rng: np.random.Generator, loss: float, runs: int = 1) -> tuple[Comparison, DomainDifference]:
    """Three tasks of 300 items, each with this true loss; returns the comparison and its overall difference."""
    sides: list[list[ModelRecords]] = []
    for name, rate in (("a", 0.6), ("b", 0.6 - loss)):
        tasks = [{f"t{k}": (rng.random(300) < rate).astype(float) for k in range(3)} for _ in range(runs)]
        sides.append([model(f"{name}{run}", own) for run, own in enumerate(tasks)])
    comparison = versus(*sides, margin=0.1)
    return comparison, next(part for part in comparison.overall["B"] if part.domain == "overall")


@pytest.mark.parametrize(
    ("runs", "loss", "conclusion"),
    [(1, -0.05, "non-inferior"), (1, 0.3, "inferior"), (1, 0.1, "inconclusive"), (3, -0.05, "non-inferior"),
     (3, 0.3, "inferior"), (3, 0.1, "inconclusive")],
)  # fmt: skip
def test_the_overall_value_has_a_verdict_at_the_margin(runs: int, loss: float, conclusion: str) -> None:
    comparison, part = _at_overall_margin(np.random.default_rng(21), loss, runs)
    assert part.conclusion == conclusion
    assert part.interval is not None
    assert part.inferior_p is not None
    assert (part.inferior_p < 0.05) == (part.interval[1] < -0.1), "inferior: the whole interval is below the margin"
    document = comparison_document(comparison, "")
    (row,) = [row for row in document.tables[1].rows if row.cells["domain"] == "overall"]
    assert row.cells["conclusion"] == conclusion
    words = {"non-inferior": "ruled out.", "inferior": "larger loss is shown.", "inconclusive": "is not ruled out."}
    assert any(note.endswith(words[conclusion]) for note in document.notes)


def test_a_loss_of_the_margin_overall_is_seldom_called_harmless() -> None:
    rng, repetitions = np.random.default_rng(22), 150
    parts = [_at_overall_margin(rng, 0.1)[1] for _ in range(repetitions)]
    uncorrected = sum(part.margin_p is not None and part.margin_p < 0.05 for part in parts)
    assert uncorrected / repetitions < 0.05 + 3 * math.sqrt(0.05 * 0.95 / repetitions)
    assert uncorrected > 0, "nor never: the test is not merely cautious"


def test_a_loss_where_less_is_better_has_the_verdict_of_its_direction() -> None:
    rng = np.random.default_rng(23)
    first = {f"t{k}": rng.normal(3.0, 0.3, 200) for k in range(2)}
    worse = {task: values + 0.5 for task, values in first.items()}
    for one, other, conclusion in ((first, worse, "inferior"), (worse, first, "non-inferior")):
        noisy = {task: values + rng.normal(0.0, 0.1, 200) for task, values in other.items()}
        sides = [model("a", one, higher_is_better=False)], [model("b", noisy, higher_is_better=False)]
        comparison = versus(*sides, margin=0.2, any_scale=True)
        assert [part.conclusion for part in comparison.overall["B"] if part.domain == "overall"] == [conclusion]


def test_one_task_has_its_verdict_in_its_own_row_only() -> None:
    same = {"t": answers(np.random.default_rng(24), np.zeros(100))}
    comparison = versus([model("a", same)], [model("b", same)], margin=0.2)
    assert [one.conclusion for one in comparison.differences] == ["non-inferior"]
    assert {part.conclusion for part in comparison.overall["B"]} == {""}


def _with_chances(loss: float, chances: dict[str, float], runs: int, n: int = 6000) -> Comparison:
    """A baseline with 60% right on each task, and an arm that loses this share of the items of each, and gains none."""
    rng = np.random.default_rng(25)
    right = {task: (rng.random(n) < 0.6).astype(float) for task in chances}
    worse = {}
    for task, values in right.items():
        worse[task] = values.copy()
        worse[task][np.flatnonzero(values)[: round(loss * n)]] = 0.0
    sides = (
        [model(f"{name}{run}", own, chance=chances) for run in range(runs)]
        for name, own in (("a", right), ("b", worse))
    )
    return versus(*sides, margin=0.02)


@pytest.mark.parametrize(("loss", "conclusion"), [(0.015, "non-inferior"), (0.027, "inferior")])
@pytest.mark.parametrize(
    ("chances", "margin", "runs"),
    [
        ({"logic/x": 0.25, "logic/y": 0.25, "logic/z": 0.25}, 0.02 / 0.75, 1),
        ({"logic/x": 0.0, "logic/y": 0.0, "legal/z": 0.5}, 0.02 * (1.0 + 2.0) / 2, 1),
        ({"logic/x": 0.0, "logic/y": 0.0, "legal/z": 0.5}, 0.02 * (1.0 + 2.0) / 2, 2),
        ({"logic/x": 0.0, "logic/y": 0.5, "legal/z": 0.25}, 0.02 * ((1.0 + 2.0) / 2 + 1.0 / 0.75) / 2, 1),
    ],
)
def test_overall_tests_the_loss_of_accuracy_that_the_tasks_test(
    loss: float, conclusion: str, chances: dict[str, float], margin: float, runs: int
) -> None:
    comparison = _with_chances(loss, chances, runs)
    (part,) = (part for part in comparison.overall["B"] if part.domain == "overall")
    assert [one.conclusion for one in comparison.differences] == [conclusion] * 3
    assert part.conclusion == conclusion, "no other verdict than that of every task"
    assert part.difference == pytest.approx(-loss / 0.02 * margin)
    assert part.interval is not None
    low, high = part.interval
    assert (low > -margin, high < -margin) == (conclusion == "non-inferior", conclusion == "inferior")
    if runs == 1 and conclusion == "non-inferior":
        errors = 1.959964 * (part.difference + margin) / (part.difference - low)
        assert part.margin_p == pytest.approx(ndtr(-errors), rel=1e-6)


def test_terminal_json_and_page_show_the_overall_verdict(command: Command, tmp_path: Path) -> None:
    for name, right in (("a", 60), ("b", 62)):
        write_run_of(tmp_path, name, {task: range(right) for task in ("t1", "t2")}, items=100)
    words = ("compare", "a", "b", "--runs", tmp_path, "--margin", "0.2")
    printed = command(*words)[1].partition("Difference by domain and overall")[2]
    assert "margin 0.2" in printed
    assert "non-inferior" in printed
    tables = json.loads(command(*words, "--format", "json")[1])["tables"]
    row = next(row for row in tables["overall"] if row["domain"] == "overall")
    assert (row["conclusion"], row["margin_p"] < 0.05, row["margin_p_corrected"] < 0.05) == ("non-inferior", True, True)
    assert command(*words, "--output_path", tmp_path / "page.html")[0] == 0
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "non-inferior" in page.partition('id="table-overall"')[2].partition("</table>")[0]


def test_a_p_too_small_for_a_float_is_zero_and_not_missing() -> None:
    rng = np.random.default_rng(26)
    first = {f"t{k}": (rng.random(4000) < 0.5).astype(float) for k in range(2)}
    second = {task: np.where(rng.random(4000) < 0.01, 1.0 - values, values) for task, values in first.items()}
    comparison = versus([model("a", first)], [model("b", second)], margin=0.1)
    (row,) = (row for row in comparison_document(comparison, "").tables[1].rows if row.cells["domain"] == "overall")
    assert [row.cells[key] for key in ("conclusion", "margin_p", "margin_p_corrected")] == ["non-inferior", 0.0, 0.0]
    (domain,) = (row for row in comparison_document(comparison, "").tables[1].rows if row.cells["domain"] == "logic")
    assert [domain.cells[key] for key in ("conclusion", "margin_p", "margin_p_corrected")] == [None] * 3
