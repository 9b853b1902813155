"""The viewer on a phone, with names of models and tasks that are long and have no space."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np
import pytest

from harness.reports.view.pages import Pages
from tests.reports.browsing import every, one, open_browser
from tests.reports.browsing_checks import phone
from tests.reports.study_records import RunTask, write_study_run
from tests.reports.view.records import pages_of, viewer
from tests.reports.view.test_means import stage

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

WIDTH = 390
TASKS = ("t" * 120, "second")
MODELS = [f"{name}{'x' * 197}-{seed}" for name in "ab" for seed in (0, 1)]


@pytest.fixture(scope="module")
def pages(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Pages:
    """Two recipes of two seeds; of each run, some requests of the first task failed."""
    folder = tmp_path_factory.mktemp("long")
    for number, name in enumerate(MODELS):
        tasks = {task: RunTask(values=(np.arange(30) > 4 * number).astype(float)) for task in TASKS}
        add_failures(write_study_run(folder / str(number), name, tasks, [stage(name, number % 2)]), TASKS[0])
    return pages_of(folder)


def add_failures(run: Path, task: str) -> None:
    """Record that three more requests of a task failed."""
    for file in run.glob("run*.json"):
        record = json.loads(file.read_text(encoding="utf-8"))
        own = record["tasks"][task]
        own |= {"items": own["items"] + 3, "asked": own["asked"] + 3, "failed": 3, "failures": {"timeout": 3}}
        file.write_text(json.dumps(record), encoding="utf-8")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    yield from open_browser(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="module")
def address(pages: Pages, browser: Chrome) -> Iterator[str]:
    with viewer(pages) as address:
        browser.get(address)  # the token becomes a cookie
        yield address.partition("/?")[0]


def places(pages: Pages) -> list[str]:
    """Every kind of page."""
    models = urlencode([("model", name) for name in MODELS])
    item = pages.index.items([0])[0]
    one_item = urlencode({"task": item.task, "id": item.id})
    return [
        "/", "/?runs=single", "/compare", "/compare?runs=single", f"/compare?{models}", f"/items?{models}",
        "/items?words=nothing", f"/item?{models}&{one_item}", f"/item?model=no{'x' * 200}", f"/no{'x' * 200}",
    ]  # fmt: skip


# Selects, inputs and buttons that end beyond the page; what scrolls inside a box of its own does not.
BEYOND = """
return [...document.querySelectorAll("select, input, button, h1, h2, .lead, .hint")].filter((part) =>
  part.checkVisibility() && !part.closest(".wide") && part.getBoundingClientRect().right > innerWidth
).map((part) => part.outerHTML.slice(0, 80));
"""


def test_no_page_is_wider_than_the_phone(browser: Chrome, address: str, pages: Pages) -> None:
    wide: dict[str, Any] = {}
    for place in places(pages):
        browser.get(address + place)
        with phone(browser):
            browser.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
            width = browser.execute_script("return document.documentElement.scrollWidth")
            if width > WIDTH or (beyond := browser.execute_script(BEYOND)):
                wide[place] = (width, beyond if width <= WIDTH else [])
    assert wide == {}


def right_of(cell: Any) -> float:
    return float(cell.rect["x"] + cell.rect["width"])


@pytest.mark.parametrize(("place", "table"), [("/", "means"), ("/?runs=single", "leaderboard")])
def test_the_leaderboard_shows_name_and_overall_value_without_scrolling(
    browser: Chrome, address: str, place: str, table: str
) -> None:
    browser.get(address + place)
    with phone(browser):
        headings = [button.text for button in every(browser, f"#table-{table} .sort")]
        cells = one(browser, f"#table-{table} tbody tr").find_elements("css selector", "td:not(.drawing)")
        name, overall = (cells[headings.index(word)] for word in (headings[1 - (table == "means")], "overall"))
        assert name.text.replace("\n", "") == ("a" + "x" * 197 if table == "means" else MODELS[0])
        assert right_of(name) <= overall.rect["x"] + 1
        assert right_of(overall) <= WIDTH
        assert name.rect["width"] >= 100, "a name of a letter per line cannot be read"


def test_the_names_of_failures_and_differences_leave_room_for_their_numbers(browser: Chrome, address: str) -> None:
    browser.get(f"{address}/")
    with phone(browser):
        rows = every(browser, "#failures tbody tr")
        assert len(rows) == len(MODELS)
        for row in rows:
            model, task, failed, _reasons = row.find_elements("css selector", "td")
            assert failed.text == "3"
            assert right_of(failed) <= WIDTH
            assert min(model.rect["width"], task.rect["width"]) >= 100, "a name of a letter per line cannot be read"
    browser.get(f"{address}/compare?runs=single")
    with phone(browser):
        headings = [button.text for button in every(browser, "#table-overall .sort")]
        cells = one(browser, "#table-overall tbody tr").find_elements("css selector", "td:not(.drawing)")
        assert right_of(cells[headings.index("difference")]) <= WIDTH
