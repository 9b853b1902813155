"""The page of many models. The full size is slow; one with fewer items always runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.reports import write_runs
from harness.cli import main
from tests.reports.browsing import every
from tests.reports.page_checks import check_page

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


@pytest.mark.parametrize("items", [100, pytest.param(1000, marks=pytest.mark.slow)])
def test_the_page_of_50_models_and_20_tasks(browser: Chrome, tmp_path: Path, items: int) -> None:
    write_runs(tmp_path / "runs", 50, 20, items)
    page = tmp_path / "board.html"
    assert main(["leaderboard", str(tmp_path / "runs"), "--output_path", str(page)]) == 0
    check_page(browser, page, tmp_path)
    assert len(every(browser, "#matrix-table tbody tr")) == 50


def test_a_printed_table_that_is_too_wide_is_split_and_keeps_its_names(browser: Chrome, tmp_path: Path) -> None:
    write_runs(tmp_path / "runs", 3, 20, 10)
    page = tmp_path / "board.html"
    assert main(["leaderboard", str(tmp_path / "runs"), "--output_path", str(page)]) == 0
    browser.get(page.as_uri())
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    parts = every(browser, "#matrix .copy-for-print")
    assert len(parts) > 1
    headings = [cell.get_attribute("textContent") for part in parts for cell in every(part, "thead th:not(.name)")]
    assert len(headings) == 21, "every column once"
    for part in parts:
        names = [cell.get_attribute("textContent") for cell in every(part, "tbody .name")]
        assert sorted(names) == ["model-00", "model-01", "model-02"]
        width = browser.execute_script("arguments[0].style.display = 'table'; return arguments[0].scrollWidth", part)
        assert width < 1040, "A4 in landscape"
    browser.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert not every(browser, ".copy-for-print")


def test_each_part_of_a_printed_table_says_of_which_model_and_task_its_numbers_are(
    browser: Chrome, tmp_path: Path
) -> None:
    write_runs(tmp_path / "runs", 3, 2, 10)
    page = tmp_path / "board.html"
    assert main(["leaderboard", str(tmp_path / "runs"), "--output_path", str(page)]) == 0
    browser.get(page.as_uri())
    browser.execute_script(
        "document.querySelector('#table-differences').style.width = '1500px';"
        "window.dispatchEvent(new Event('beforeprint'))"
    )
    parts = every(browser, "#differences .copy-for-print")
    assert len(parts) > 1
    for part in parts:
        keys = [cell.get_attribute("data-key") for cell in every(part, "thead th")]
        assert {"arm", "task"} <= set(keys)
    browser.execute_script("window.dispatchEvent(new Event('afterprint'))")
