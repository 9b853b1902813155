"""Runs that differ in their seed only: the viewer shows their mean as the report does, and every run by itself."""

from __future__ import annotations

import csv
import html
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


def stage(name: str, seed: int, **fields: Any) -> dict[str, Any]:
    """A link of a lineage; `fields` are further fields of its manifest."""
    manifest = {"name": name, "stage": "sft", "finished": True, "step": 9, "seed": seed, "parents": [], **fields}
    return {"name": name, "digest": name, "status": "verified", "manifest": manifest}


def some_right(right: int, items: int = ITEMS) -> RunTask:
    return RunTask(values=(np.arange(items) < right).astype(float), chance=0.0)


def write_run(folder: Path, name: str, **tasks: RunTask) -> None:
    """A run of the seed that its name ends with."""
    write_study_run(folder / re.sub(r"\W", "_", name), name, tasks, [stage(name, int(name[-1]))])


def set_shots(folder: Path, name: str, shots: int) -> None:
    """Change the recorded number of few-shot examples of a run."""
    (file,) = (folder / re.sub(r"\W", "_", name)).rglob("results_*.json")
    results = json.loads(file.read_text(encoding="utf-8"))
    results["n-shot"] = dict.fromkeys(results["n-shot"], shots)
    file.write_text(json.dumps(results), encoding="utf-8")


def rows_of(pages: Pages) -> dict[str, dict[str, str]]:
    """The table of means by recipe."""
    rows = csv.DictReader(io.StringIO(pages.table("means", Filter(models=()), chosen=False)))
    return {row["arm"]: row for row in rows}


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


def board_of(page: str) -> list[str]:
    body = page.partition('id="table-means"')[2].partition("</table>")[0]
    return re.findall(r'<td class="name"><a href="([^"]*)">', body)


def test_the_matrix_has_the_means_of_the_report(folder: Path, seeds: Pages, command: Command, tmp_path: Path) -> None:
    words = ["strong=strong-0,strong-1", "weak=weak-0,weak-1", "--runs", str(folder), "--chosen"]
    assert command("compare", *words, "--output_path", tmp_path / "page.html")[0] == 0
    report = matrix_of((tmp_path / "page.html").read_text(encoding="utf-8"))
    page = seeds.overview()
    assert matrix_of(page) == report
    assert list(report) == ["strong", "weak"], "the best first, without the model of one seed"
    assert "<small>2 runs</small>" in page
    assert shlex.join(["harness", "compare", *words]) in page


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
    assert 'alone-0 has one seed; see <a href="/?runs=single">single runs</a>.' in means
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
    page = pages.overview("means")
    (cells,) = matrix_of(page).values()
    assert [cell[3][0] for cell in cells] == ["0.342", "0.506"], "overall is chance-centred"
    assert "coloured dot" not in page, "nothing was tested"
    assert page.count('<svg class="mark') == page.count('<svg class="mark quiet"') == 1
    assert "<h1>a-0 against a-1</h1>" in pages.comparison(Filter(models=("a-1", "a-0")), chosen=False)


def test_one_recipe_does_not_hide_the_other_models(cache: Path, tmp_path: Path) -> None:
    for name, right in {"base-0": 66, "other-0": 48, "a-0": 40, "a-1": 41}.items():
        write_run(tmp_path, name, t=some_right(right))
    pages = pages_of(tmp_path)
    first = pages.overview()
    assert list(matrix_of(first)) == ["base-0", "other-0", "a-1", "a-0"]
    assert 'href="/?runs=means">means over seeds</a>' in first
    means = pages.overview("means")
    assert list(matrix_of(means)) == ["a"]
    assert 'base-0 and other-0 have one seed; see <a href="/?runs=single">' in means
    assert list(rows_of(pages)) == ["a"]


def test_recipes_are_ranked_on_the_tasks_that_all_have(cache: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, f"a-{seed}", t=some_right(64))
        write_run(tmp_path, f"b-{seed}", t=some_right(72), hard=some_right(16))
    pages = pages_of(tmp_path)
    rows = rows_of(pages)
    assert [(name, float(row["overall"])) for name, row in rows.items()] == [("b", 0.9), ("a", 0.8)]
    assert float(rows["a"]["difference"]) == pytest.approx(-0.1)
    matrix = matrix_of(pages.overview())
    assert [cell[3][:1] for cell in matrix["b"]] == [["0.900"], ["0.900"], ["0.200"]], "hard is shown too"
    assert [cell[3][:1] for cell in matrix["a"]] == [["0.800"], ["0.800"], []]


def test_differences_of_three_recipes_are_on_the_tasks_of_all(cache: Path, tmp_path: Path, command: Command) -> None:
    hard = {"b": 16, "c": 40}
    for name, right in {"a": 64, "b": 72, "c": 70}.items():
        for seed in (0, 1):
            tasks = {"t": some_right(right)} | ({"hard": some_right(hard[name])} if name in hard else {})
            write_run(tmp_path, f"{name}-{seed}", **tasks)
    pages = pages_of(tmp_path)
    rows = rows_of(pages)
    assert [(name, float(row["overall"])) for name, row in rows.items()] == [("b", 0.9), ("c", 0.875), ("a", 0.8)]
    assert [float(rows[name]["difference"]) for name in "ca"] == pytest.approx([-0.025, -0.1])
    page = pages.overview()
    assert "Left out, not scored in all recipes: hard." in page
    (line,) = re.findall(r"<code>(harness compare .*?)</code>", page)
    assert line.endswith("--chosen --tasks t")
    tables = json.loads(command(*shlex.split(line)[1:], "--format", "json")[1])["tables"]
    assert [row["difference"] for row in tables["overall"] if row["domain"] == "overall"] == [
        float(rows[name]["difference"]) for name in "ca"
    ]


def test_a_caution_says_that_pairs_of_recipes_have_more_items(cache: Path, tmp_path: Path) -> None:
    for name, items in {"a": 8, "b": 40, "c": 40}.items():
        for seed in (0, 1):
            write_run(tmp_path, f"{name}-{seed}", t=some_right(ord(name[0]) - ord("a") + 6, items=items))
    assert "overall values are on the items that all recipes answered" in pages_of(tmp_path).overview()


def test_recipes_are_ranked_on_the_items_that_all_have(cache: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, f"a-{seed}", t=some_right(7, items=8))
        write_run(tmp_path, f"b-{seed}", t=some_right(40))
    rows = rows_of(pages_of(tmp_path))
    assert [(name, float(row["overall"])) for name, row in rows.items()] == [("b", 1.0), ("a", 0.875)]
    assert float(rows["a"]["difference"]) == pytest.approx(-0.125)


def test_recipes_without_a_common_task_are_neither_ranked_nor_compared(cache: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        write_run(tmp_path, f"a-{seed}", t=some_right(20))
        write_run(tmp_path, f"b-{seed}", t=some_right(20), u=some_right(40))
        write_run(tmp_path, f"c-{seed}", u=some_right(60))
    pages = pages_of(tmp_path)
    page = pages.overview()
    assert "no task was run by all seeds of all 3 recipes (a: t; b: t, u; c: u)" in page
    assert next(iter(rows_of(pages).values())).keys() == {"arm", "runs"}
    assert {name: [cell[3][:1] for cell in cells] for name, cells in matrix_of(page).items()} == {
        "a": [["0.250"], []], "b": [["0.250"], ["0.500"]], "c": [[], ["0.750"]],
    }  # fmt: skip
    assert "coloured dot" not in page
    assert "harness compare" not in page


def test_runs_with_other_prompts_have_no_mean(cache: Path, tmp_path: Path) -> None:
    for name in ("a-0", "a-1", "b-0", "b-1", "c-0", "c-1"):
        write_run(tmp_path, name, t=some_right(30 + ord(name[0]) + int(name[-1]) - ord("a")))
    set_shots(tmp_path, "c-1", 5)
    page = pages_of(tmp_path).overview()
    assert "c has no mean, because its runs differ in t: number of few-shot examples differs (0: c-0; 5: c-1)." in page
    assert list(matrix_of(page)) == ["b", "a"]
    assert "one seed" not in page, "c has two"
    set_shots(tmp_path, "a-1", 5)
    set_shots(tmp_path, "b-1", 5)
    none = pages_of(tmp_path).overview("means")
    assert all(f"{name} has no mean" in none for name in "abc")
    assert 'class="matrix"' not in none


def test_recipes_with_other_prompts_are_not_ranked(cache: Path, tmp_path: Path) -> None:
    for name in ("a-0", "a-1", "b-0", "b-1"):
        write_run(tmp_path, name, t=some_right(30 + ord(name[0]) - ord("a")))
    for seed in (0, 1):
        set_shots(tmp_path, f"b-{seed}", 5)
    page = pages_of(tmp_path).overview()
    assert "<b>Not compared:</b> t: the runs cannot be compared: number of few-shot examples differs" in page
    assert {name: [cell[3][0] for cell in cells] for name, cells in matrix_of(page).items()} == {
        "a": ["0.375"], "b": ["0.388"],
    }  # fmt: skip


def test_other_data_is_another_recipe(cache: Path, tmp_path: Path) -> None:
    for name, source in {"code-1": "code-10", "code-3": "code-30"}.items():
        links = [stage(name, int(name[-1]), sources=[{"name": source}])]
        write_study_run(tmp_path / name, name, {"t": some_right(40)}, links)
    for name, source in {"t-1": "text", "t-2": "code"}.items():
        parent = stage(f"base-{name[-1]}", 0, sources=[{"name": source}])
        above = [{"name": parent["name"], "digest": parent["name"], "source": "x"}]
        links = [stage(name, int(name[-1]), parents=above), parent]
        write_study_run(tmp_path / name, name, {"t": some_right(40)}, links)
    assert "runs=means" not in pages_of(tmp_path).overview()


@pytest.mark.parametrize(
    ("right", "own_bases", "has_p", "tone"),
    [(39, False, True, ""), (10, False, True, "quiet"), (39, True, False, "quiet")],
    ids=["not significant", "significant", "not tested"],
)
def test_a_coloured_dot_is_a_recipe_that_was_tested_and_cannot_be_told_apart(
    right: int, own_bases: bool, has_p: bool, tone: str, cache: Path, tmp_path: Path
) -> None:
    for recipe, own in {"a": 41, "b": right}.items():
        base = stage(f"base-{recipe}", 0)
        links = [base] if own_bases else []
        parents = [{"name": base["name"], "digest": base["digest"], "source": "x"}] if own_bases else []
        for seed in (0, 1):
            name = f"{recipe}-{seed}"
            run = RunTask(values=np.roll(np.arange(ITEMS) < own, seed * 7).astype(float), chance=0.0)
            write_study_run(tmp_path / name, name, {"t": run}, [stage(name, seed, parents=parents), *links])
    pages = pages_of(tmp_path)
    assert [bool(row["p_corrected"]) for row in rows_of(pages).values()] == [False, has_p]
    board = pages.overview().partition('id="matrix"')[0]
    assert re.findall(r'<svg class="mark (\w*)"', board) == ["", tone]
    assert "Recipes with a coloured dot cannot be told apart from the first." in board


@pytest.mark.parametrize("signs", ["lr=1", "x,y", "x" * 120])
def test_the_command_line_gives_the_numbers_of_names_with_its_signs(
    signs: str, cache: Path, tmp_path: Path, command: Command
) -> None:
    for recipe, right in {"a": 30, "b": 50}.items():
        for seed in (0, 1):
            write_run(tmp_path, f"{recipe}{signs}-{seed}", t=some_right(right + 3 * seed))
    pages = pages_of(tmp_path)
    line = html.unescape(re.findall(r"<code>(harness compare .*?)</code>", pages.overview())[0])
    words = shlex.split(line)[1:]
    code, out, err = command(*words, "--format", "json")
    assert (code, err) == (0, "")
    (row,) = (one for one in json.loads(out)["tables"]["overall"] if one["domain"] == "overall")
    assert f" a{re.sub('[=,]', '-', signs)}=" in line
    assert row["difference"] == float(rows_of(pages)[f"a{signs}"]["difference"])
    chosen = pages.comparison(Filter(models=(f"a{signs}-0", f"b{signs}-1")), chosen=True)
    pair = html.unescape(re.findall(r"<code>(harness compare .*?)</code>", chosen)[0])
    assert command(*shlex.split(pair)[1:])[0] == 0


def test_runs_with_one_seed_twice_are_no_recipe(cache: Path, tmp_path: Path) -> None:
    for number in (0, 1):
        name = f"a-{number}"
        write_study_run(tmp_path / name, name, {"t": RunTask(values=np.ones(4))}, [stage(name, 0)])
    page = pages_of(tmp_path).overview()
    assert "runs=single" not in page
    assert list(matrix_of(page)) == ["a-0", "a-1"]
