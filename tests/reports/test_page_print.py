"""Names of real length on paper: shortened to one line, listed in full at the end, and restored on the screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from benchmarks.reports import write_runs
from harness.cli import main
from harness.reports.page.pdf import print_pdf
from tests.reports.browsing import every
from tests.reports.browsing_checks import pages_of

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

PREFIX = "olmo-mixture-stage-two-"  # names of 31 and 30 letters
TEXTS = "return [...document.querySelectorAll('.matrix th, .grid th')].map((cell) => cell.textContent)"


def written(folder: Path, models: int, tasks: int, items: int) -> Path:
    write_runs(folder / "runs", models, tasks, items, PREFIX)
    page = folder / "board.html"
    assert main(["leaderboard", str(folder / "runs"), "--output_path", str(page)]) == 0
    return page


@pytest.mark.parametrize(
    ("models", "tasks", "items", "most"), [(21, 6, 6, 6), pytest.param(50, 20, 200, 12, marks=pytest.mark.slow)]
)
def test_many_models_with_long_names_take_few_pages(
    browser: Chrome, tmp_path: Path, models: int, tasks: int, items: int, most: int
) -> None:
    page = written(tmp_path, models, tasks, items)
    print_pdf(page.read_text(encoding="utf-8"), tmp_path / "board.pdf")
    assert 2 <= pages_of(tmp_path / "board.pdf") < most
    browser.get(page.as_uri())
    before = browser.execute_script(TEXTS)
    browser.execute_script("window.dispatchEvent(new Event('beforeprint'))")
    heights = {row.rect["height"] for row in every(browser, "#table-leaderboard tbody tr") if row.is_displayed()}
    assert all(height < 25 for height in heights), "one line each"
    key = [line.get_attribute("textContent") for line in every(browser, ".print-key li")]
    names = {f"{PREFIX}model-{number:02d}" for number in range(models)}
    names |= {f"{PREFIX}task_{number:02d}" for number in range(tasks)}
    full = dict(line.split(" = ") for line in key)
    assert set(full.values()) == names
    assert len(full) == len(names), "no two names are shortened alike"
    shown = {cell.get_attribute("textContent") for cell in every(browser, "#matrix-table tbody .name")}
    assert shown == {short for short, name in full.items() if "model" in name}
    intervals = every(browser, "#matrix .cell i")
    assert any(one.is_displayed() for one in intervals), "values keep their intervals"
    browser.execute_script("window.dispatchEvent(new Event('afterprint'))")
    assert browser.execute_script(TEXTS) == before
    assert not every(browser, ".print-key, .upright, .copy-for-print")
