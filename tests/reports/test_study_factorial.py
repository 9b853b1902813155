"""docs/study.md reads the study's table as a factorial: the figures are recomputed, and the plan is run."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from harness.stats.factorial import two_by_two
from tests.conftest import ROOT
from tests.reports.conftest import Command

PAGE = ROOT / "docs" / "study.md"
# Published accuracies in percent, and items (some inferred), by task; arms as in the study, with the size in billions.
ITEMS = {"logic": 22, "legal": 1000, "science": 4241, "analogy": 335, "code QA": 604}
ACCURACY = {
    "NL 2.6": (36.36, 27.00, 45.93, 32.24, 47.01),
    "CODE 2.6": (40.90, 28.70, 46.06, 36.12, 50.50),
    "NN 2.6": (36.36, 25.20, 44.45, 30.45, 45.20),
    "NC 2.6": (40.90, 26.10, 43.44, 28.66, 48.18),
    "CC 2.6": (40.90, 27.10, 41.90, 27.20, 52.48),
    "NN 13": (40.90, 24.50, 42.94, 26.27, 47.52),
    "NC 13": (40.90, 26.40, 43.41, 27.46, 51.99),
}
SIMPLE = {"CODE-NL": ("CODE 2.6", "NL 2.6"), "NC-NN": ("NC 2.6", "NN 2.6"), "CC-NC": ("CC 2.6", "NC 2.6")}


def errors(one: float, two: float, items: int) -> tuple[float, float]:
    """Smallest and largest standard error of a paired difference in points, for any overlap of the right answers."""
    p, q = one / 100, two / 100
    variances = [max(share - (p - q) ** 2, 0.0) / items for share in (abs(p - q), min(p + q, 2 - p - q))]
    return 100 * math.sqrt(variances[0]), 100 * math.sqrt(variances[1])


def cells(name: str) -> list[str]:
    """The cells of the row of a task, in the table of the page that starts with it."""
    return [cell.strip() for cell in name.strip().strip("|").split("|")]


def rows(heading: str) -> dict[str, list[str]]:
    text = PAGE.read_text(encoding="utf-8")
    assert heading in text, heading
    lines = text.split(heading)[1].lstrip("\n").splitlines()
    table = [line for line in lines[1 : lines.index("")] if line.startswith("|")]
    return {cells(line)[0]: cells(line)[1:] for line in table}


def test_the_simple_effects_of_the_page_are_those_of_the_published_table() -> None:
    page = rows("| task | CODE-NL | s.e. | NC-NN | s.e. | CC-NC | s.e. |")
    for at, (task, items) in enumerate(ITEMS.items()):
        expected = []
        for new, old in SIMPLE.values():
            one, two = ACCURACY[new][at], ACCURACY[old][at]
            low, high = errors(one, two, items)
            expected += [f"{one - two:+.1f}", f"{low:.1f} to {high:.1f}"]
        assert page[task] == [cell.replace("+0.0", "0.0") for cell in expected]


def test_the_contrasts_of_size_and_tuning_are_those_of_the_published_table() -> None:
    page = rows("| task | size | tuning | interaction |")
    contrasts = two_by_two(("2.6", "13"), ("NN", "NC"), ("size", "tuning"))
    for at, task in enumerate(ITEMS):
        means = {(size, arm): ACCURACY[f"{arm} {size}"][at] for size in ("2.6", "13") for arm in ("NN", "NC")}
        expected = [
            f"{sum(c * means[cell] for cell, c in contrasts[name].items()):+.1f}"
            for name in ("size", "tuning", "interaction")
        ]
        assert page[task] == expected


@pytest.mark.parametrize("word", ["CN", "one run per arm"])
def test_the_page_says_what_the_table_cannot_show(word: str) -> None:
    assert word in PAGE.read_text(encoding="utf-8").split("## A factorial reading")[1]


def test_the_page_shows_the_power_of_its_plan(command: Command, tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    (plan,) = re.findall(r"```yaml\n(factors:.*?)```", page, flags=re.S)
    (tmp_path / "plan.yaml").write_text(plan)
    code, out, err = command("power", tmp_path / "plan.yaml")
    assert code == 0, err
    shown = page.split("$ harness power plan.yaml\n")[1].split("```")[0]
    assert [line.rstrip() for line in out.splitlines() if line.strip()][: len(shown.splitlines())] == [
        line.rstrip() for line in shown.splitlines()
    ]
