"""The address of a page names all that it shows, and the page says what is missing; cells have their own items."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import main
from harness.reports.commands import view
from tests.reports.browsing import every, one
from tests.reports.records_for_tests import write_run_of
from tests.waiting import wait_until

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

NO_ITEMS = "This page has no items of first: it is the baseline."


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Address of a page of three models; the third answers as the first one does."""
    folder = tmp_path_factory.mktemp("address")
    for name, right in (("first", range(8)), ("second", range(3, 14)), ("third", range(8))):
        write_run_of(folder, name, {"alike": range(5), "apart": right})
    models = [str(folder / name) for name in ("first", "second", "third")]
    assert main(["compare", *models, "--output_path", str(folder / "page.html")]) == 0
    return (folder / "page.html").as_uri()


@pytest.fixture
def opened(browser: Chrome, page: str) -> Callable[..., Chrome]:
    def at(hash_: str = "") -> Chrome:
        browser.get("about:blank")
        browser.get(page + hash_)
        return browser

    return at


def cell(browser: Chrome, arm: str, task: str) -> Any:
    return one(browser, f"#matrix-table button[data-arm={arm}][data-task={task}]")


def choose(browser: Chrome, arm: str) -> None:
    from selenium.webdriver.support.ui import Select

    Select(one(browser, "#against")).select_by_value(f"arm:{arm}")


def changes(browser: Chrome) -> list[str]:
    return [change.text for change in every(browser, ".change")]


def items(browser: Chrome) -> list[str]:
    return [button.text for button in every(browser, "#item-list button")]


@pytest.mark.parametrize("task", ["apart", "overall"])
def test_a_cell_of_the_baseline_has_no_items_and_not_those_of_the_cell_before(
    opened: Callable[..., Chrome], task: str
) -> None:
    browser = opened()
    cell(browser, "second", "apart").click()
    assert items(browser)
    cell(browser, "first", task).click()
    assert items(browser) == []
    assert one(browser, "#item").text == NO_ITEMS
    assert one(browser, "#item-arm").get_attribute("value") == "first"
    assert one(browser, "#pair").text.startswith(f"first on {task}: ")
    assert "second" not in browser.current_url


def test_a_cell_of_overall_has_the_items_of_its_model_on_all_tasks(opened: Callable[..., Chrome]) -> None:
    browser = opened()
    cell(browser, "third", "apart").click()
    assert items(browser) == []
    cell(browser, "second", "overall").click()
    assert len(items(browser)) == len(every(browser, "#item-list li")) > 0
    values = [one(browser, f"#item-{name}").get_attribute("value") for name in ("task", "arm")]
    assert values == ["", "second"]
    assert "second" in one(browser, "#item h3").text


@pytest.mark.parametrize("model_first", [True, False])
def test_the_address_keeps_the_chosen_model_and_the_open_item(opened: Callable[..., Chrome], model_first: bool) -> None:
    browser = opened()
    if model_first:
        choose(browser, "third")
    cell(browser, "second", "apart").click()
    every(browser, "#item-list button")[1].click()
    if not model_first:
        choose(browser, "third")
    shown, item = changes(browser), one(browser, "#item h3").text
    one(browser, "nav a[href='#values']").click()
    wait_until(lambda: "#values?" in browser.current_url, "the address has the rest again")
    address = browser.current_url
    opened(f"#{address.partition('#')[2]}")
    assert one(browser, "#against").get_attribute("value") == "arm:third"
    assert changes(browser) == shown
    assert one(browser, "#item h3").text == item
    assert one(browser, "#item-list [aria-current]").text == items(browser)[1]
    assert browser.current_url == address


def test_an_address_of_another_page_says_what_is_missing(opened: Callable[..., Chrome]) -> None:
    usual = changes(opened())
    browser = opened("#matrix?against=arm%3Agone")
    assert one(browser, "#against").get_attribute("value") == "arm:first"
    assert changes(browser) == usual
    assert one(browser, "#pair").text == (
        "This link compares with gone, which cannot be chosen on this page; differences are from first."
    )
    browser = opened("#items?task=apart&arm=lost&item=apart%2Fnone%2Fsecond")
    assert one(browser, "#item").text == ("This link names lost and apart/none/second, which is not on this page.")
    values = [one(browser, f"#item-{name}").get_attribute("value") for name in ("task", "arm")]
    assert values == ["apart", ""]
    assert items(browser), "those of the task"
    assert "lost" not in browser.current_url


def test_the_page_names_the_command_that_shows_every_item(opened: Callable[..., Chrome], page: str) -> None:
    program, command, *words = shlex.split(one(opened(), "#items .command code").text)
    assert (program, command) == ("harness", "view")
    parser = argparse.ArgumentParser()
    view.add_arguments(parser)
    folders = parser.parse_args(words).runs
    assert [folder.name for folder in folders] == ["first", "second", "third"]
    assert all(Path(folder).is_dir() for folder in folders)
