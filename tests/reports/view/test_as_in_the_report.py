"""The viewer's matrix, forest plot, and failed and truncated requests are those of the report's page, cell by cell."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.reports.view.filters import Filter
from harness.reports.view.pages import Pages
from tests.reports.conftest import Command
from tests.reports.view.records import choice, pages_of, text, write_model

CELL = re.compile(r'<td class="cell (\w+)(?: s(\d+))?( real)?"(?: style="--strength:(\d+)%")?>(.*?)</td>', re.DOTALL)
ROW = re.compile(
    r'<tr(?: data-arm="[^"]*")?><th scope="row" class="name[^"]*">([^<]*)(?:<small>[^<]*</small>)?</th>(.*?)</tr>',
    re.DOTALL,
)
FOREST = re.compile(r'<svg class="effects".*?</svg>', re.DOTALL)

# How many items of colours are right, then failed and truncated requests by task.
MODELS: Mapping[str, tuple[int, Mapping[str, int], Mapping[str, int]]] = {
    "strong": (55, {}, {}),
    "middle": (46, {}, {"words": 3}),
    "weak": (25, {"colours": 2}, {}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models on two tasks of 60 items; requests of the last one failed, of the second one were truncated."""
    place = tmp_path_factory.mktemp("three")
    for name, (right, failed, cut) in MODELS.items():
        rows = {
            "colours": [choice("colours", n, n < right) for n in range(60 - sum(failed.values()))],
            "words": [text("words", n, f"{name} {n}", n % 4 < 3) for n in range(60)],
        }
        write_model(place, name, rows, failed=failed, cut=cut)
    return place


@pytest.fixture(scope="module")
def three(folder: Path, cache: Path) -> Pages:
    return pages_of(folder)


def matrix_of(html: str) -> dict[str, list[tuple[str, bool, int, list[str]]]]:
    """By model: side, significance, strength of the colour in tenths, and the texts of each cell."""
    body = re.search(r'class="matrix[^"]*">.*?</table>', html, re.DOTALL)
    assert body is not None
    return {
        name: [
            (side, bool(real), int(step) if step else round(int(percent) / 10), re.findall(r">([^<>]+)<", inner))
            for side, step, real, percent, inner in CELL.findall(cells)
        ]
        for name, cells in ROW.findall(body[0])
    }


def without_style(drawing: str) -> str:
    return re.sub(r'style="[^"]*" ', "", drawing)


def test_the_matrix_is_that_of_the_report(folder: Path, three: Pages, command: Command, tmp_path: Path) -> None:
    assert command("leaderboard", folder, "--output_path", tmp_path / "page.html")[0] == 0
    report = matrix_of((tmp_path / "page.html").read_text(encoding="utf-8"))
    viewer = matrix_of(three.overview())
    assert viewer == report
    assert list(viewer) == ["strong", "middle", "weak"]
    colours = viewer["weak"][1]
    assert colours[:3] == ("worse", True, 10)
    assert colours[3][-1] == "2 failed"
    assert viewer["middle"][2][3][-1] == "3 cut"
    assert all(len(cells) == 3 and " to " in cell[3][1] for cells in viewer.values() for cell in cells)


def test_a_value_leads_to_its_items_and_an_overall_value_to_the_comparison(three: Pages) -> None:
    html = three.overview()
    assert 'href="/items?model=strong&amp;model=weak&amp;task=colours" title="weak on colours: 0.431, 95%' in html
    assert 'href="/compare?model=strong&amp;model=weak" title="weak on overall: ' in html
    assert 'href="/items?model=strong" title="strong on overall: ' in html


def test_truncated_requests_stand_beside_the_ranks(three: Pages) -> None:
    head, rows = three.overview().partition('id="table-leaderboard"')[2].partition("<tbody>")[::2]
    assert 'title="cut">' in head
    assert "aside" not in re.findall(r'<th scope="col" class="([^"]*)"[^>]*><button[^>]*title="cut"', head)[0]
    assert re.search(r'data-value="3">3</td>', rows)


@pytest.mark.parametrize("chosen", [True, False])
def test_the_forest_plot_is_that_of_the_report(
    three: Pages, folder: Path, command: Command, tmp_path: Path, chosen: bool
) -> None:
    words = ("compare", "strong", "middle", "weak", "--runs", folder) if chosen else ("leaderboard", folder)
    assert command(*words, "--output_path", tmp_path / "page.html")[0] == 0
    report = FOREST.findall((tmp_path / "page.html").read_text(encoding="utf-8"))
    viewer = FOREST.findall(three.comparison(Filter(models=("strong", "middle", "weak")), chosen=chosen))
    assert len(viewer) == 2
    assert viewer == [without_style(one) for one in report], "the content policy forbids inline styles"


def test_failed_and_truncated_requests_stand_beside_the_differences(three: Pages) -> None:
    html = three.comparison(Filter(models=("strong", "weak")), chosen=True)
    assert html.count('title="failed, cut"') == 2, "by task, and by domain and overall"
    assert html.count("<td>2 failed</td>") >= 2
    assert "† Some requests failed or were truncated" in html
    assert "colours †" in html
    other = three.comparison(Filter(models=("strong", "middle")), chosen=True)
    assert "words †" in other
    assert "colours †" not in other


def test_one_model_has_values_with_intervals_and_no_differences(cache: Path, tmp_path: Path) -> None:
    write_model(tmp_path, "alone", {"colours": [choice("colours", n, n < 2) for n in range(4)]}, cut={"colours": 1})
    html = pages_of(tmp_path).overview()
    (cell,) = matrix_of(html)["alone"]
    assert cell == ("none", False, 0, ["0.500", "0.150 to 0.850", "1 cut"])
    assert "where does it differ" not in html
