"""Runs that differ in their seed only: the viewer shows their mean as the report does, and every run by itself."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.reports.view.filters import Filter
from harness.reports.view.pages import Pages
from tests.reports.conftest import Command
from tests.reports.study_records import RunTask, write_study_run
from tests.reports.view.records import pages_of
from tests.reports.view.test_as_in_the_report import matrix_of

RIGHT: Mapping[str, float] = {"weak-0": 0.3, "weak-1": 0.4, "strong-0": 0.9, "strong-1": 0.8, "alone-0": 0.6}
ITEMS = 80


def stage(name: str, seed: int) -> dict[str, Any]:
    manifest = {"name": name, "stage": "sft", "finished": True, "step": 9, "seed": seed, "parents": []}
    return {"name": name, "digest": name, "status": "verified", "manifest": manifest}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recipes of two seeds on two tasks, and a model of one seed."""
    place = tmp_path_factory.mktemp("seeds")
    rng = np.random.default_rng(3)
    for name, right in RIGHT.items():
        tasks = {task: RunTask(values=(rng.random(ITEMS) < right).astype(float)) for task in ("first", "second")}
        write_study_run(place / name, name, tasks, [stage(name, int(name[-1]))])
    return place


@pytest.fixture(scope="module")
def seeds(folder: Path, cache: Path) -> Pages:
    return pages_of(folder)


def board_of(html: str) -> list[str]:
    body = html.partition('id="table-means"')[2].partition("</table>")[0]
    return re.findall(r'<td class="name"><a href="([^"]*)">', body)


def test_the_matrix_has_the_means_of_the_report(folder: Path, seeds: Pages, command: Command, tmp_path: Path) -> None:
    words = ["strong=strong-0,strong-1", "weak=weak-0,weak-1", "--runs", str(folder), "--chosen"]
    assert command("compare", *words, "--output_path", tmp_path / "page.html")[0] == 0
    report = matrix_of((tmp_path / "page.html").read_text(encoding="utf-8"))
    html = seeds.overview()
    assert matrix_of(html) == report
    assert list(report) == ["strong", "weak"], "the best first, without the model of one seed"
    assert "<small>2 runs</small>" in html
    assert shlex.join(["harness", "compare", *words]) in html


def test_the_leaderboard_of_the_means_is_that_of_the_comparison(folder: Path, seeds: Pages, command: Command) -> None:
    rows = list(csv.DictReader(io.StringIO(seeds.table("means", Filter(models=()), chosen=False))))
    words = ("strong=strong-0,strong-1", "weak=weak-0,weak-1", "--runs", folder, "--chosen", "--format", "json")
    tables = json.loads(command("compare", *words)[1])["tables"]
    overall = next(row for row in tables["overall"] if row["domain"] == "overall")
    assert [(row["arm"], row["runs"]) for row in rows] == [("strong", "2"), ("weak", "2")]
    assert rows[0]["difference"] == ""
    assert float(rows[1]["difference"]) == overall["difference"]
    assert float(rows[1]["p_corrected"]) == overall["p_corrected"]
    assert board_of(seeds.overview()) == [
        "/items?model=strong-0&amp;model=strong-1", "/items?model=weak-0&amp;model=weak-1",
    ]  # fmt: skip


def test_single_runs_are_one_click_away(seeds: Pages) -> None:
    means = seeds.overview()
    assert '<a href="/?runs=single">single runs</a>' in means
    assert "only: alone-0." in means
    single = seeds.overview("single")
    assert list(matrix_of(single)) == ["strong-0", "strong-1", "alone-0", "weak-1", "weak-0"]
    assert "table-leaderboard" in single


def test_recipes_are_compared_and_a_choice_of_runs_compares_these(seeds: Pages) -> None:
    of_recipes = seeds.comparison(Filter(models=("strong-0", "weak-0")), chosen=False)
    assert "<h1>weak against strong</h1>" in of_recipes
    assert "model=strong&" not in of_recipes, "a recipe has no items of its own"
    of_runs = seeds.comparison(Filter(models=("strong-0", "weak-0")), chosen=True)
    assert "<h1>weak-0 against strong-0</h1>" in of_runs
    every_run = seeds.comparison(Filter(models=("strong-0", "weak-0")), chosen=False, runs="single")
    assert "<h1>4 models against strong-0</h1>" in every_run


def test_one_recipe_of_several_seeds_has_its_means_without_differences(cache: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        values = (np.arange(ITEMS) < 40 + seed).astype(float)
        write_study_run(tmp_path / f"a-{seed}", f"a-{seed}", {"t": RunTask(values=values)}, [stage(f"a-{seed}", seed)])
    pages = pages_of(tmp_path)
    (cells,) = matrix_of(pages.overview()).values()
    assert [cell[3][0] for cell in cells] == ["0.342", "0.506"], "overall is chance-centred"
    assert "<h1>a-0 against a-1</h1>" in pages.comparison(Filter(models=("a-1", "a-0")), chosen=False)


def test_runs_with_one_seed_twice_are_no_recipe(cache: Path, tmp_path: Path) -> None:
    for number in (0, 1):
        name = f"a-{number}"
        write_study_run(tmp_path / name, name, {"t": RunTask(values=np.ones(4))}, [stage(name, 0)])
    html = pages_of(tmp_path).overview()
    assert "runs=single" not in html
    assert list(matrix_of(html)) == ["a-0", "a-1"]
