"""The page of models with a lineage: curves, ledger, settings, failures next to numbers, links to items."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from harness.reports.page import marks
from tests.reports.browsing import every, log, one
from tests.reports.browsing_checks import (
    cut_texts,
    forget,
    low_contrast,
    phone,
    printed,
    requests,
)
from tests.reports.conftest import Command
from tests.reports.records_for_tests import write_run_of
from tests.reports.study_records import RunTask, write_study_run

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

STEPS = (5, 10, 12)


def state(step: int, *, loss: bool = True) -> dict[str, Any]:
    """The manifest of a state of one training run."""
    curve: list[dict[str, Any]] = [
        {"step": at, "tokens": 100 * at, "loss": 3.0 - at / 10, "sources": {}} for at in (0, 5, 10, 12) if at <= step
    ]
    source = {
        "name": "text",
        "location": "x",
        "format": "text",
        "tokens": 70 * step,
        "records": 9,
        "repeats": 2,
        "cut": 3,
    }
    rows = [
        {"phase": phase, "source": name, "tokens": 10 * phase, "share": share, "asked_share": 0.5}
        for phase in (1, 2)
        for name, share in (("text", 0.6), ("code", 0.4))
    ]
    return {
        "stage": "pretrain", "name": "base", "seed": 1, "finished": step == 12, "step": step, "parents": [],
        "tokens": 100 * step, "sources": [source, {"name": "code"}], "ledger": rows,
        "evaluation": {"curve": curve} if loss else None,
    }  # fmt: skip


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three states of one training run, evaluated on tasks of two domains."""
    folder = tmp_path_factory.mktemp("chain")
    difficulty = np.random.default_rng(3).random(60)
    for step in STEPS:
        link = {"name": f"checkpoint-{step}", "digest": f"sha256:{step}", "location": "x", "status": "verified"}
        values = (difficulty < 0.2 + 0.05 * step).astype(float)
        tasks = {"logic": RunTask(values=values), "law": RunTask(values=values[::-1].copy(), domain="legal")}
        name = f"training/checkpoint-{step}"
        write_study_run(folder, name, tasks, [link | {"manifest": state(step)}])
    return folder


@pytest.fixture
def opened(browser: Chrome, chain: Path, command: Command, tmp_path: Path) -> Chrome:
    code, _, err = command("leaderboard", chain, "--output_path", tmp_path / "page.html")
    assert code == 0, err
    forget(browser)
    browser.get((tmp_path / "page.html").as_uri())
    return browser


def test_a_chain_of_checkpoints_has_curves_with_bands_and_its_held_out_loss(opened: Chrome) -> None:
    first = [one(curve, "text").text for curve in every(opened, "header .curve")]
    assert first == ["overall, chance-centred", "held-out loss (less is better)"]
    assert [one(curve, "text").text for curve in every(opened, "#lineage .curve")] == ["legal", "logic"]
    for curve in (one(opened, "header .curve"), *every(opened, "#lineage .curve")):
        assert len(every(curve, "circle")) == 3
        assert len(every(curve, "[class^=band-]")) == 1
    loss = every(opened, "header .curve")[1]
    assert [title.get_attribute("textContent") for title in every(loss, "circle title")] == [
        "base: 3.000, 0 tokens", "base: 2.500, 500 tokens", "base: 2.000, 1,000 tokens", "base: 1.800, 1,200 tokens",
    ]  # fmt: skip
    assert log(opened, "browser") == []
    assert requests(opened) == []


def test_what_is_not_comparable_is_said_once(opened: Chrome) -> None:
    caveats = [caveat.text for caveat in every(opened, ".caveat")]
    assert len(caveats) == 1
    assert caveats[0].startswith("Caution: Not trained on equally many tokens: ")


def test_names_of_checkpoints_are_short_distinct_and_in_the_order_of_their_steps(opened: Chrome) -> None:
    names = [name.text for name in every(opened, "#matrix-table .name")][1:]
    assert sorted(names) == sorted(f"training/checkpoint-{step}" for step in STEPS)
    models = [row.text.split()[0] for row in every(opened, "#table-settings tbody tr")]
    assert models == [f"training/checkpoint-{step}" for step in STEPS]
    labels = [text.text for text in every(opened, "#lineage .graph .name")]
    assert labels == ["checkpoint-5", "checkpoint-10", "checkpoint-12"]


def test_the_ledger_has_the_numbers_of_the_manifest(opened: Chrome) -> None:
    rows = [[cell.text for cell in every(row, "th, td")] for row in every(opened, "#table-ledger tbody tr")]
    assert [row[:8] for row in rows] == [
        ["base", "pretrain", "1", "1", "text", "10", "0.600", "0.500"],
        ["base", "pretrain", "1", "1", "code", "10", "0.400", "0.500"],
        ["base", "pretrain", "1", "2", "text", "20", "0.600", "0.500"],
        ["base", "pretrain", "1", "2", "code", "20", "0.400", "0.500"],
    ]
    assert rows[0][8:] == ["9", "2", "3", "0", "0", "0"]


def test_settings_name_engine_template_few_shot_versions_and_command(opened: Chrome) -> None:
    row = one(opened, "#table-settings tbody tr").text
    assert "hf float32 0 plain" in row
    one(opened, "#settings details:last-of-type summary").click()
    assert "harness eval" in one(opened, "#settings").text


def test_failed_and_truncated_requests_stand_next_to_the_numbers(
    browser: Chrome, command: Command, tmp_path: Path
) -> None:
    changed = tmp_path / "changed"
    ones, few = np.ones(60), np.eye(60)[0]
    folder = write_study_run(changed, "other", {"logic": RunTask(values=ones), "law": RunTask(values=ones)})
    file = (folder / "run.json").resolve()
    record = json.loads(file.read_text(encoding="utf-8"))
    record["tasks"]["law"] |= {"cut": 7, "failed": 2, "failures": {"timeout": 2}}
    file.write_text(json.dumps(record), encoding="utf-8")
    write_study_run(changed, "plain", {"logic": RunTask(values=np.zeros(60)), "law": RunTask(values=few)})
    page = tmp_path / "page.html"
    code, _, err = command("compare", changed / "plain", changed / "other", "--output_path", page)
    assert code == 0, err
    browser.get(page.as_uri())
    cell = one(browser, "#matrix-table tr[data-arm=other] button[data-task=law]")
    assert "2 failed, 7 cut" in cell.text
    row = next(row.text for row in every(browser, "#table-differences tbody tr") if "law" in row.text)
    assert "2 failed, 7 cut" in row
    parts = every(browser, "#table-overall tbody tr")
    assert [part.text.split()[0] for part in parts if "2 failed, 7 cut" in part.text] == ["logic", "overall"]
    names = {text.text for text in every(browser, "#differences .beside .name")}
    assert names == {"overall \N{DAGGER}", "law \N{DAGGER}", "logic"}
    assert "Inputs were truncated" in one(browser, "header").text
    ranked = {row.text.split()[1]: row.text.split()[6:8] for row in every(browser, "#table-leaderboard tbody tr")}
    assert ranked == {"other": ["2", "7"], "plain": ["0", "0"]}, "failed and cut"


@pytest.fixture
def flips(browser: Chrome, command: Command, tmp_path: Path) -> Chrome:
    for name, right in (("first", range(8)), ("second", range(3, 14)), ("third", range(8))):
        write_run_of(tmp_path, name, {"alike": range(5), "apart": right})
    models = [tmp_path / name for name in ("first", "second", "third")]
    assert command("compare", *models, "--output_path", tmp_path / "page.html")[0] == 0
    browser.get("about:blank")
    browser.get((tmp_path / "page.html").as_uri())
    return browser


def test_an_item_under_its_filters_has_its_own_link(flips: Chrome) -> None:
    from selenium.webdriver.support.ui import Select

    Select(one(flips, "#item-way")).select_by_value("lost")
    every(flips, "#item-list button")[1].click()
    shown, address = one(flips, "#item h3").text, flips.current_url
    assert "way=lost" in address
    flips.get("about:blank")
    flips.get(address)
    assert one(flips, "#item h3").text == shown
    assert {button.text.split()[0] for button in every(flips, "#item-list button")} == {"lost"}


def test_a_cell_without_items_shows_an_empty_list_and_its_own_filters(flips: Chrome) -> None:
    cells = {
        (cell.get_attribute("data-arm"), cell.get_attribute("data-task")): cell
        for cell in every(flips, "#matrix-table .cell button")
    }
    cells["second", "apart"].click()
    assert every(flips, "#item-list button")
    cells["third", "apart"].click()
    assert not every(flips, "#item-list button")
    assert one(flips, "#item-arm").get_attribute("value") == "third"
    assert (
        one(flips, "#item").text == "This page has no items of third: compare it alone with the baseline to see them."
    )


def test_an_opened_item_is_printed(flips: Chrome, tmp_path: Path) -> None:
    one(flips, "#item-list button").click()
    flips.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    shown, chosen = one(flips, "#item").is_displayed(), one(flips, "#item-list").is_displayed()
    flips.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert (shown, chosen) == (True, False)
    assert 1 < printed(flips, tmp_path) < 8


def test_names_with_control_characters_can_be_chosen_and_filtered(
    browser: Chrome, command: Command, tmp_path: Path
) -> None:
    names = ("plain", "turned\u202egpj", "</option><b>bold", 'quote"\x1b[2J')
    for number, name in enumerate(names):
        write_run_of(tmp_path / "runs", name.replace("/", "%"), {"apart": range(3 * number, 9 + 2 * number)})
    folders = [tmp_path / "runs" / name.replace("/", "%") for name in names]
    code, _, err = command("compare", *folders, "--output_path", tmp_path / "page.html")
    assert code == 0, err
    forget(browser)
    browser.get((tmp_path / "page.html").as_uri())
    options = every(browser, "#against option")
    assert len(options) == 4
    options[2].click()
    rows = every(browser, "#matrix-table tbody tr")
    assert [bool(one(row, "button[data-task=apart] .change").text) for row in rows] == [True, True, False, True]
    one(rows[1], "button[data-task=apart]").click()
    assert every(browser, "#item-list button")
    assert log(browser, "browser") == []


def test_the_forest_plot_shows_all_arms_on_one_scale(flips: Chrome) -> None:
    drawing = one(flips, "#differences .effects")
    assert [text.text for text in every(drawing, ".bold")] == ["second", "third"]
    assert [text.text for text in every(drawing, ".name")] == ["overall", "alike", "apart"]
    assert len(every(drawing, "circle")) == 6


def test_text_is_readable_in_both_themes_and_on_a_phone(opened: Chrome) -> None:
    opened.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    for theme in ("light", "dark"):
        opened.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
        assert low_contrast(opened) == []
    with phone(opened):
        assert opened.execute_script("return document.documentElement.scrollWidth") <= 390
        opened.execute_script("document.querySelector('#leaderboard .wide').scrollLeft = 300")
        assert one(opened, "#table-leaderboard tbody .name").rect["x"] < 40


def test_no_text_of_a_drawing_is_cut(opened: Chrome) -> None:
    assert cut_texts(opened) == []
    with phone(opened):
        assert cut_texts(opened) == []


def test_numbers_on_an_axis_keep_their_minus_sign() -> None:
    axis = marks.axis((-0.52, 0.31))
    assert ">\N{MINUS SIGN}0.5<" in axis
    assert 'overflow="visible"' in axis, "a wider font is not cut either"
    positions = [float(part.split('"')[0]) for part in axis.split('text x="')[1:]]
    assert min(positions) >= 10, "there is room for half of the number"
    assert max(positions) <= marks.WIDTH - 10
