"""The page in a real browser without a network: sort, filter, open an item, switch theme; no error, no request."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest

from harness.cli import main
from tests.reports.browsing import every, log, one
from tests.reports.conftest import Command
from tests.reports.records_for_tests import write_run, write_run_of
from tests.waiting import wait_until

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


@pytest.fixture(scope="module")
def page(runs: Path, failed_run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("page") / "report.html"
    words = ["leaderboard", str(runs), str(failed_run / "uniform"), "--all", "--output_path", str(file)]
    with mock.patch.object(sys, "argv", ["harness", *words]):  # the page shows the command line
        assert main(words) == 0
    return file


@pytest.fixture
def opened(browser: Chrome, page: Path) -> Chrome:
    browser.get(page.as_uri())
    return browser


def _column(browser: Chrome, number: int) -> list[str]:
    rows = every(browser, "#table-leaderboard tbody tr")
    return [row.find_elements("css selector", "td, th")[number].text for row in rows if row.is_displayed()]


def is_cell_of(cell: Any, task: str, arm: str) -> bool:
    return (cell.get_attribute("data-task"), cell.get_attribute("data-arm").split()[0]) == (task, arm)


def test_a_click_on_a_heading_sorts_by_value_and_a_second_click_reverses_the_order(opened: Chrome) -> None:
    headings = [button.text for button in every(opened, "#table-leaderboard .sort")]
    button = every(opened, "#table-leaderboard .sort")[headings.index("overall")]
    column = int(button.get_attribute("data-column"))
    button.click()
    down = [float(text) for text in _column(opened, column)]
    assert down == sorted(down, reverse=True)
    button.click()
    assert [float(text) for text in _column(opened, column)] == sorted(down)
    heading = button.find_element("xpath", "..")
    assert heading.get_attribute("aria-sort") == "ascending"


def test_filtering_shows_the_rows_that_contain_the_words(opened: Chrome) -> None:
    one(opened, "[data-filter=table-leaderboard]").send_keys("uniform")
    assert _column(opened, 1)
    assert all(name.startswith("uniform") for name in _column(opened, 1))
    assert "of 4" in one(opened, "[data-count=table-leaderboard]").text


def test_an_item_shows_prompt_scores_of_both_key_and_rationale(opened: Chrome) -> None:
    from selenium.webdriver.support.ui import Select

    Select(one(opened, "#item-task")).select_by_value("mini_logic")
    one(opened, "#item-list button").click()
    shown = one(opened, "#item").text
    for part in ("prompt", "Question:", "log-likelihood", "✓", "rationale"):
        assert part in shown
    assert len(every(opened, "#item thead th")) == 3, "choice, baseline and model"
    assert len(every(opened, "#item .chosen")) == 2


def test_a_click_on_a_cell_of_the_matrix_shows_its_items(opened: Chrome) -> None:
    cell = next(one for one in every(opened, ".cell button") if is_cell_of(one, "t_generate", "uniform"))
    cell.click()
    listed = [button.text for button in every(opened, "#item-list button")]
    assert listed
    assert all("t_generate" in text for text in listed)
    assert "expected" in one(opened, "#item").text


def test_a_cell_without_flipped_items_does_not_show_those_of_another_task(browser: Chrome, tmp_path: Path) -> None:
    for name, right in (("first", range(8)), ("second", range(9))):
        write_run_of(tmp_path, name, {"alike": range(5), "apart": right})
    file = tmp_path / "page.html"
    assert main(["compare", str(tmp_path / "first"), str(tmp_path / "second"), "--output_path", str(file)]) == 0
    browser.get(file.as_uri())
    cells = {one.get_attribute("data-task"): one for one in every(browser, ".cell button")}
    cells["alike"].click()
    assert one(browser, "#item").text == "This page has no item of alike on which second differs."
    cells["apart"].click()
    assert "apart" in one(browser, "#item h3").text


def test_the_page_counts_all_flipped_items_and_names_the_models_whose_items_are_shown(
    browser: Chrome, tmp_path: Path
) -> None:
    models = [write_run(tmp_path, f"model{number}", range(number)) for number in range(7)]
    file = tmp_path / "page.html"
    assert main(["compare", *map(str, models), "--output_path", str(file)]) == 0
    browser.get(file.as_uri())
    hint = one(browser, "#items .hint").text
    assert hint.startswith("10 of 21 items on which a model and the baseline differ")
    assert "for model1, model2, model3, model4 only" in hint


def test_the_page_explains_that_recipes_of_several_seeds_have_no_items(browser: Chrome, tmp_path: Path) -> None:
    paths = [str(write_run(tmp_path, f"run{n}", range(6 + n))) for n in range(4)]
    file = tmp_path / "page.html"
    words = [f"A={paths[0]},{paths[1]}", f"B={paths[2]},{paths[3]}"]
    assert main(["compare", *words, "--output_path", str(file)]) == 0
    browser.get(file.as_uri())
    assert "several seeds are compared by their means" in one(browser, "#items").text
    assert "Select a cell" not in one(browser, "#differences").text


def test_the_keyboard_alone_moves_through_items(opened: Chrome) -> None:
    from selenium.webdriver.common.keys import Keys

    one(opened, "#item-list button").send_keys(Keys.ENTER)
    first = one(opened, "#item h3").text
    opened.switch_to.active_element.send_keys(Keys.ARROW_DOWN)
    assert one(opened, "#item h3").text != first
    assert opened.switch_to.active_element.get_attribute("aria-current") == "true"


def test_the_theme_switches_and_changes_the_colours(opened: Chrome) -> None:
    def colour() -> Any:
        return opened.execute_script("return getComputedStyle(document.body).backgroundColor")

    before = colour()
    one(opened, "#theme").click()
    assert colour() != before
    one(opened, "#theme").click()
    assert colour() == before


def test_a_definition_is_one_click_away(opened: Chrome) -> None:
    one(opened, ".ask").click()
    meanings = [one.text for one in every(opened, ".meaning") if one.is_displayed()]
    assert len(meanings) == 1
    assert len(meanings[0]) > 40


def test_every_view_has_a_command_line_to_copy(opened: Chrome) -> None:
    for section in ("leaderboard", "differences", "domains", "items", "values", "words"):
        assert one(opened, f"#{section} .command code").text.startswith("harness ")
        one(opened, f"#{section} .command .copy").click()


@pytest.mark.parametrize("more", [(), ("--all",)], ids=["latest", "all"])
def test_the_command_lines_on_the_page_give_its_numbers(
    browser: Chrome,
    runs: Path,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
    more: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("leaderboard", runs, *more, "--output_path", "page.html")[0] == 0
    browser.get((tmp_path / "page.html").as_uri())
    one(browser, "#differences summary").click()
    shown = [row.text for row in every(browser, "#table-differences tbody tr")]
    for section in ("leaderboard", "differences", "values"):
        line = one(browser, f"#{section} .command code").get_attribute("textContent")
        code, out, err = command(*shlex.split(line)[1:])
        assert code == 0, (line, err)
        if section == "differences":
            code, out, _ = command(*shlex.split(line)[1:], "--format", "json")
            corrected = {row["task"]: row["p_corrected"] for row in json.loads(out)["tables"]["differences"]}
            assert len(corrected) == 3
            assert len(shown) == 6
            assert "--chosen" in line
            assert "every pair of models" in " ".join(json.loads(out)["notes"])


def _width_on_a_phone(browser: Chrome) -> int:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    wait_until(lambda: browser.execute_script("return screen.width") == 390, "the window is a phone's")
    width = browser.execute_script("return document.documentElement.scrollWidth")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert isinstance(width, int)
    return width


def test_a_phone_shows_the_page_without_sideways_scrolling(opened: Chrome) -> None:
    assert _width_on_a_phone(opened) <= 390


@pytest.mark.parametrize("words", [["leaderboard", "--all"], ["compare"]])
def test_long_names_of_models_do_not_widen_the_page_of_a_phone(
    browser: Chrome, words: list[str], tmp_path: Path
) -> None:
    runs = [write_run(tmp_path, f"{name}_{'x' * 150}", range(8)) for name in ("first", "second")]
    file = tmp_path / "report.html"
    assert main([*words, *map(str, runs), "--output_path", str(file)]) == 0
    browser.get(file.as_uri())
    assert _width_on_a_phone(browser) <= 390


def test_nothing_is_requested_and_nothing_is_logged(browser: Chrome, page: Path) -> None:
    log(browser, "browser"), log(browser, "performance")  # what other tests left
    browser.get(page.as_uri())
    for button in (*every(browser, "#theme, .copy, .sort"), *every(browser, ".cell button")[:3]):
        browser.execute_script("arguments[0].click()", button)
    assert log(browser, "browser") == []
    events = [json.loads(entry["message"])["message"] for entry in log(browser, "performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in urls if not url.startswith(("file:", "data:"))] == []
    assert sum(url.startswith("file:") for url in urls) == 1


def test_model_output_is_shown_as_text_and_never_runs(browser: Chrome, tmp_path: Path) -> None:
    """Answers that would end the script element or be markup, and scores that are not finite."""
    nasty = "</script><img src=x onerror=document.title='hit'><!--"
    paths = []
    for name, right in (("first", range(8)), ("second", range(4, 12))):
        choices = {"question": nasty, "choices": ["yes", nasty], "gold": 0}
        scores = {"filtered_resps": [[-1.0, False], [float("-inf"), False]], "doc": choices}
        scores["arguments"] = {f"gen_args_{k}": {"arg_0": nasty, "arg_1": " yes"} for k in range(2)}
        paths.append(write_run(tmp_path, name, right, extra=[{**scores, "resps": [[[-1.0, False]]] * 2}] * 22))
    file = tmp_path / "nasty.html"
    assert main(["compare", *map(str, paths), "--output_path", str(file)]) == 0
    log(browser, "browser")
    browser.get(file.as_uri())
    one(browser, "#item-list button").click()
    article = one(browser, "#item")
    assert nasty in article.text
    assert "–" in article.text, "a log-likelihood of minus infinity is shown as a dash"
    assert browser.title != "hit"
    assert log(browser, "browser") == []


def test_failed_requests_are_listed(opened: Chrome) -> None:
    assert "missing" in one(opened, "#failures").text


HEADING_GAPS = """
return [...document.querySelectorAll(".grid thead tr")].flatMap((row) => {
  const texts = [...row.querySelectorAll("th:has(.sort)")].filter((cell) => cell.checkVisibility()).map((cell) => {
    const edges = [...cell.querySelectorAll(".sort, .ask")].map((part) => part.getBoundingClientRect());
    const [left, right] = [edges.map((edge) => edge.left), edges.map((edge) => edge.right)];
    return [Math.min(...left), Math.max(...right), cell.textContent];
  });
  return texts.slice(1).map(([left, , name], at) => [texts[at][2] + " | " + name, left - texts[at][1]]);
});
"""


def test_headings_stand_apart_with_their_question_marks(opened: Chrome) -> None:
    opened.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true; });")
    gaps = opened.execute_script(HEADING_GAPS)
    assert len(gaps) > 20
    assert [(names, gap) for names, gap in gaps if gap < 4] == [], "pixels"
