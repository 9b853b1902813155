"""The page of the worked 2 x 2 study in a browser: its numbers, first screen, matrix, links, contrast, phone, print."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.cli import main
from tests.reports.browsing import every, one
from tests.reports.browsing_checks import (
    cut_texts,
    low_contrast,
    phone,
    printed,
)
from tests.reports.page_checks import check_page

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

ARMS = ("NN", "NC", "CN", "CC")


@pytest.fixture(scope="module")
def written(example: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the page of the worked study and the JSON of the same command."""
    folder = tmp_path_factory.mktemp("study-page")
    for ending in ("html", "json"):
        words = ["compare", "--design", str(example), "--output_path", str(folder / f"study.{ending}")]
        assert main(words) == 0
    return folder


@pytest.fixture(scope="module")
def tables(written: Path) -> dict[str, list[dict[str, Any]]]:
    return dict(json.loads((written / "study.json").read_text(encoding="utf-8"))["tables"])


@pytest.fixture
def opened(browser: Chrome, written: Path) -> Chrome:
    browser.get("about:blank")
    browser.get((written / "study.html").as_uri())
    return browser


def test_no_text_of_a_drawing_is_cut(opened: Chrome) -> None:
    assert cut_texts(opened) == []
    with phone(opened):
        assert cut_texts(opened) == []


def test_a_phone_shows_the_effects_below_each_other(opened: Chrome) -> None:
    wide, narrow = every(opened, "#effects .effects")
    assert (wide.is_displayed(), narrow.is_displayed()) == (True, False)
    with phone(opened):
        assert (wide.is_displayed(), narrow.is_displayed()) == (False, True)
        assert narrow.rect["x"] + narrow.rect["width"] <= 390


def test_the_first_screen_has_question_answer_design_and_links(opened: Chrome) -> None:
    assert one(opened, "h1").text == "What do pretrain and tune change?"
    answer = [element.text for element in every(opened, ".answer p")]
    assert len(answer) == 2
    assert answer[0].startswith(
        "Overall, pretrain (+0.097) differs from 0; tune and interaction do not (80% power needs"
    )
    assert answer[1].startswith("By task, ")
    design = one(opened, "#design svg")
    assert design.rect["y"] + design.rect["height"] < 800, "on the first screen"
    labels = [text.text for text in every(opened, "#design text")]
    assert {"NN: text, plain", "NC: text, code", "CC: code, code", "pre-text", "pre-code"} <= set(labels)
    assert "× 3 runs" in labels


def test_the_page_keeps_what_every_page_must(browser: Chrome, written: Path, tmp_path: Path) -> None:
    check_page(browser, written / "study.html", tmp_path)


def test_the_matrix_has_every_arm_and_task_with_value_and_interval(opened: Chrome, tables: dict[str, Any]) -> None:
    expected = {(row["arm"], row["task"]): row for row in tables["matrix"]}
    cells = every(opened, "#matrix-table .cell button")
    assert len(cells) == len(expected) == 4 * 5
    for cell in cells:
        row = expected[cell.get_attribute("data-arm"), cell.get_attribute("data-task")]
        value, interval = (one(cell, tag).text for tag in ("b", "i"))
        assert value == f"{row['value']:.3f}".replace("-0.000", "0.000")
        assert interval == " to ".join(f"{end:.3f}".replace("-0.000", "0.000") for end in row["interval"])


def test_any_arm_can_be_the_one_compared_with(opened: Chrome, tables: dict[str, Any]) -> None:
    from selenium.webdriver.support.ui import Select

    rows = {(row["baseline"], row["arm"], row["task"]): row for row in tables["pairs"]}
    for baseline in ("CN", "NN"):
        Select(one(opened, "#against")).select_by_value(f"arm:{baseline}")
        for arm in ARMS:
            changes = every(opened, f"#matrix-table tr[data-arm={arm}] .change")
            if arm == baseline:
                assert not "".join(change.text for change in changes)
                continue
            for change, task in zip(changes, ("overall", *sorted({t for _, _, t in rows} - {"overall"})), strict=True):
                row = rows.get((baseline, arm, task))
                difference = row["difference"] if row else -rows[arm, baseline, task]["difference"]
                assert float(change.text.rstrip(" ●")) == pytest.approx(difference, abs=5.1e-4)
    every(opened, "#matrix-table .cell button")[5].click()
    words = one(opened, "#pair").text
    row = rows["NN", "NC", "overall"]
    for number in (row["difference"], row["p_corrected"], row["detectable"]):
        assert f"{abs(number):.3f}" in words


def test_the_address_keeps_the_arm_that_was_chosen(opened: Chrome, written: Path) -> None:
    from selenium.webdriver.support.ui import Select

    Select(one(opened, "#against")).select_by_value("arm:CC")
    address = opened.current_url
    shown = [change.text for change in every(opened, ".change")]
    opened.get("about:blank")
    opened.get(address)
    assert [change.text for change in every(opened, ".change")] == shown
    assert one(opened, "#against").get_attribute("value") == "arm:CC"


def test_every_section_has_a_link_to_itself(opened: Chrome) -> None:
    sections = [section.get_attribute("id") for section in every(opened, "main > section")]
    links = [link.get_attribute("href").partition("#")[2] for link in every(opened, "h2 .anchor")]
    assert links == sections
    assert {link.get_attribute("href").partition("#")[2] for link in every(opened, "nav a")} <= set(sections)


def test_a_meaning_opens_next_to_its_question_mark(opened: Chrome) -> None:
    opened.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    for button in every(opened, "#table-contrasts .ask")[:4]:
        opened.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
        button.click()
        meaning = next(element for element in every(opened, ".meaning") if element.is_displayed())
        place, box = button.rect, meaning.rect
        assert abs(box["y"] - (place["y"] + place["height"])) < 20 or abs(box["y"] + box["height"] - place["y"]) < 20
        assert box["x"] - 500 < place["x"] < box["x"] + box["width"]
        button.click()


def test_a_phone_shows_the_page_and_keeps_names_in_view(opened: Chrome) -> None:
    with phone(opened):
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 390
        opened.execute_script("document.querySelector('#matrix .wide').scrollLeft = 300")
        assert one(opened, "#matrix-table tbody .name").rect["x"] < 40
        assert low_contrast(opened) == []


def test_the_printed_page_has_few_pages_and_every_column(opened: Chrome, tmp_path: Path) -> None:
    assert 2 <= printed(opened, tmp_path) <= 8


def test_headings_repeat_on_each_printed_page(opened: Chrome) -> None:
    """Chromium repeats a table's head unless it holds boxes that cannot be split, as buttons are."""
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    style = "return [getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]]"
    found = [
        *opened.execute_script(style, "#table-contrasts thead", "display"),
        *opened.execute_script(style, "#table-contrasts thead", "breakInside"),
        *opened.execute_script(style, "#table-contrasts .sort", "display"),
        *opened.execute_script(style, ".swatch", "webkitPrintColorAdjust"),
    ]
    opened.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert found == ["table-header-group", "avoid", "contents", "exact"]


def test_each_stage_can_be_compared_with_its_parent(browser: Chrome, tmp_path: Path) -> None:
    from selenium.webdriver.support.ui import Select

    from tests.reports.test_stage_pairs import write_three_stages

    design = write_three_stages(tmp_path)
    for ending in ("html", "json"):
        assert main(["compare", "--design", str(design), "--output_path", str(tmp_path / f"page.{ending}")]) == 0
    rows = json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))["tables"]["contrasts"]
    contrasts = {row["contrast"]: row["estimate"] for row in rows if row["task"] == "first"}
    browser.get((tmp_path / "page.html").as_uri())
    Select(one(browser, "#against")).select_by_value("parent")
    for arm, contrast in (("NC", "NC-parent"), ("code parent", "code parent-grandparent")):
        change = one(browser, f"#matrix-table tr[data-arm='{arm}'] button[data-task=first] .change").text
        assert float(change.rstrip(" ●")) == pytest.approx(contrasts[contrast], abs=5.1e-4)
    assert not one(browser, "#matrix-table tr[data-arm='text grandparent'] button[data-task=first] .change").text
