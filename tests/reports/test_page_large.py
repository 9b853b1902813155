"""The page of many models: its size, how soon it answers, its print. The full size is slow; a small one always runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.reports import write_runs
from harness.cli import main
from tests.reports.browsing import every, log, one
from tests.reports.browsing_checks import forget, low_contrast, phone, printed, requests

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

MEGABYTES, SECONDS, PAGES = 8, 2.0, 12
LOADED = "const [t] = performance.getEntriesByType('navigation'); return t.loadEventEnd - t.startTime"


@pytest.mark.parametrize(
    ("models", "tasks", "items"), [(12, 20, 20), pytest.param(50, 20, 1000, marks=pytest.mark.slow)]
)
def test_the_page_of_many_models(browser: Chrome, tmp_path: Path, models: int, tasks: int, items: int) -> None:
    write_runs(tmp_path / "runs", models, tasks, items)
    page = tmp_path / "board.html"
    assert main(["leaderboard", str(tmp_path / "runs"), "--output_path", str(page)]) == 0
    assert page.stat().st_size < MEGABYTES * 1e6
    browser.get("about:blank")
    forget(browser)
    browser.get(page.as_uri())
    assert browser.execute_script(LOADED) < 1000 * SECONDS
    seconds = browser.execute_script(
        "const start = performance.now(); document.querySelector('#against').selectedIndex = 3;"
        "document.querySelector('#against').dispatchEvent(new Event('change')); return performance.now() - start;"
    )
    assert seconds < 500, "milliseconds until another arm is compared with"
    assert len(every(browser, "#matrix-table tbody tr")) == models
    assert low_contrast(browser) == []
    with phone(browser):
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 390
    assert printed(browser, tmp_path) < PAGES
    assert one(browser, "#matrix-table").is_displayed(), "after printing all is as before"
    assert log(browser, "browser") == []
    assert requests(browser) == []


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
