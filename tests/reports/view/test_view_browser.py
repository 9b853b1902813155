"""The viewer in a real browser: filters, search, side by side, keyboard, phone, hostile text, no other network."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.reports.view.pages import Pages
from tests.browsers import chromium
from tests.reports.view.records import choice, pages_of, text, viewer, write_model
from tests.waiting import wait_until

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CONTRAST = Path(__file__).parents[2] / "contrast.js"
NASTY = (
    "</pre></script><script>document.title='hit'</script><img src=x onerror=document.title='hit'>\u202e\x1b[2J{{7*7}}"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.fixture(scope="module")
def address(pages: Pages) -> Iterator[str]:
    with viewer(pages) as address:
        yield address


@pytest.fixture
def opened(browser: Chrome, address: str) -> Chrome:
    """The first page, after the token became a cookie."""
    browser.get(address)
    assert "token" not in browser.current_url
    return browser


def go(browser: Chrome, address: str, path: str) -> None:
    browser.get(address.partition("/?")[0] + path)


def one(browser: Chrome, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def every(browser: Chrome, selector: str) -> list[Any]:
    return browser.find_elements("css selector", selector)


def texts(browser: Chrome, selector: str) -> list[str]:
    """The texts of all such elements at one moment: one call, between two pages, finds those of one of them."""
    script = "return [...document.querySelectorAll(arguments[0])].map(each => each.innerText.trim())"
    found: list[str] = browser.execute_script(script, selector)
    return found


def log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]  # selenium leaves it untyped
    return entries


def questions(browser: Chrome) -> list[str]:
    return texts(browser, ".items tbody th a")


def test_from_a_value_to_the_flipped_items_to_one_side_by_side(opened: Chrome) -> None:
    next(cell for cell in every(opened, ".matrix a") if "code on colours" in cell.get_attribute("title")).click()
    wait_until(lambda: every(opened, ".outcomes"), "the list is open")
    next(link for link in every(opened, ".outcomes a") if link.text == "flipped 6").click()
    wait_until(lambda: len(questions(opened)) == 6, "only flipped items are listed")
    every(opened, ".items tbody th a")[0].click()
    wait_until(lambda: every(opened, ".choices"), "the item is open")
    assert [head.text for head in every(opened, ".choices thead th")] == ["choice", "base", "code"]
    assert len(every(opened, ".likelihood.chosen")) == 2
    assert one(opened, ".steps .count").text == "1 of 6"


def test_a_choice_in_a_list_is_followed_at_once(opened: Chrome, address: str) -> None:
    from selenium.webdriver.support.ui import Select

    go(opened, address, "/items")
    Select(one(opened, "select[name=task]")).select_by_value("words")
    wait_until(lambda: len(questions(opened)) == 6, "only this task is listed")
    assert "task=words" in opened.current_url
    assert "outcome" not in opened.current_url, "an empty field is not part of an address"
    Select(every(opened, "select[name=model]")[1]).select_by_value("")
    wait_until(lambda: "model=code" not in opened.current_url, "the second model is gone")
    assert len(every(opened, ".items thead th")) == 2


def test_a_search_finds_words_of_answers(opened: Chrome, address: str) -> None:
    go(opened, address, "/items?task=words")
    one(opened, "input[name=words]").send_keys("photosynthesis\n")
    wait_until(lambda: questions(opened) == ["Question 4 of words?"], "the item is found")
    one(opened, "input[name=words]").clear()
    one(opened, "input[name=words]").send_keys("nowhere\n")
    wait_until(lambda: every(opened, ".empty"), "nothing is found")
    one(opened, ".empty a").click()
    wait_until(lambda: len(questions(opened)) == 20, "all items are listed again")


def stands_at(browser: Chrome, place: str) -> bool:
    return texts(browser, ".steps .count") == [place]


def test_the_keyboard_alone_moves_through_items(opened: Chrome, address: str) -> None:
    from selenium.webdriver.common.keys import Keys

    go(opened, address, "/items?outcome=lost")
    every(opened, ".items tbody th a")[0].send_keys(Keys.ENTER)
    wait_until(lambda: every(opened, ".steps"), "the first item is open")
    for key, place in (("j", "2 of 6"), ("j", "3 of 6"), ("k", "2 of 6"), (Keys.ARROW_RIGHT, "3 of 6")):
        opened.switch_to.active_element.send_keys(key)
        wait_until(functools.partial(stands_at, opened, place), f"{key!r} leads to {place}")
    go(opened, address, "/items")
    opened.switch_to.active_element.send_keys("/")
    assert opened.switch_to.active_element.get_attribute("name") == "words"


def test_the_keyboard_alone_goes_into_a_list_to_an_item_and_back(opened: Chrome, address: str) -> None:
    from selenium.webdriver.common.keys import Keys

    go(opened, address, "/items?task=words")
    for key in "jjjk":
        opened.switch_to.active_element.send_keys(key)
    focused = opened.switch_to.active_element
    assert focused.text == "Question 1 of words?"
    assert focused.value_of_css_property("outline-style") == "solid"
    focused.send_keys(Keys.ENTER)
    wait_until(lambda: every(opened, ".steps"), "the item is open")
    opened.switch_to.active_element.send_keys("j")
    wait_until(functools.partial(stands_at, opened, "3 of 6"), "j leads to the next item")
    opened.switch_to.active_element.send_keys("u")
    wait_until(lambda: every(opened, ".items"), "u leads back to the list")
    wait_until(
        lambda: opened.switch_to.active_element.text == "Question 2 of words?", "the item that was open has the focus"
    )


def test_every_key_stands_at_the_foot_of_the_page_where_it_works(opened: Chrome, address: str, pages: Pages) -> None:
    go(opened, address, "/items")
    assert {key.text for key in every(opened, ".keys kbd")} == {"/", "j", "k", "Enter", "→", "←"}
    go(opened, address, places(pages)[-1])
    assert {key.text for key in every(opened, ".keys kbd")} == {"/", "j", "k", "→", "←", "u"}


def test_a_search_from_an_item_keeps_its_models(opened: Chrome, address: str, pages: Pages) -> None:
    item = pages.index.items([0])[0]
    go(opened, address, f"/item?model=code&task={item.task}&id={item.id}")
    one(opened, ".find input[name=words]").send_keys("dark\n")
    wait_until(lambda: questions(opened) == ["Question 1 of words?"], "the item is found")
    assert "model=code&words=dark" in opened.current_url
    assert "model=base" not in opened.current_url


def test_a_permalink_shows_the_same_item(opened: Chrome, address: str) -> None:
    go(opened, address, "/items?outcome=unparsed")
    one(opened, ".items tbody th a").click()
    wait_until(lambda: every(opened, ".permalink"), "the item is open")
    heading, link = one(opened, "h1").text, one(opened, ".permalink").get_attribute("href")
    opened.get(link)
    assert one(opened, "h1").text == heading == "words, item 3"


def test_without_the_cookie_a_link_asks_for_the_token_and_then_shows_its_page(browser: Chrome, address: str) -> None:
    browser.get(address)
    browser.delete_all_cookies()
    log(browser, "browser")
    go(browser, address, "/items?model=code&words=dark")
    assert "needs its token" in one(browser, "body").text
    one(browser, "input[name=token]").send_keys("a guess\n")
    text = "return document.body?.innerText ?? ''"
    wait_until(
        lambda: "This token is wrong, or from an earlier start" in browser.execute_script(text),
        "a wrong token is refused",
    )
    one(browser, "input[name=token]").send_keys(address.partition("token=")[2] + "\n")
    wait_until(lambda: "Question 1 of words?" in browser.execute_script(text), "the page that was asked is open")
    assert questions(browser) == ["Question 1 of words?"]
    assert browser.current_url.endswith("/items?model=code&words=dark")
    errors = [entry["message"] for entry in log(browser, "browser") if "403 (Forbidden)" not in entry["message"]]
    assert errors == []


def test_the_theme_switches_is_remembered_and_changes_the_colours(opened: Chrome, address: str) -> None:
    def colour() -> Any:
        return opened.execute_script("return getComputedStyle(document.body).backgroundColor")

    before = colour()
    one(opened, "#theme").click()
    changed = colour()
    assert changed != before
    go(opened, address, "/items")
    assert colour() == changed
    one(opened, "#theme").click()
    assert colour() == before


PLACES = ("/", "/compare?model=base&model=code", "/items", "/items?outcome=failed", "/item?task={task}&id={id}")


def places(pages: Pages) -> list[str]:
    """Every kind of page, and an item of every task."""
    items = [pages.index.items([task.first])[0] for task in pages.index.tasks]
    return [*PLACES[:-1], *(PLACES[-1].format(task=item.task, id=item.id) for item in items)]


def test_a_phone_shows_every_page_without_sideways_scrolling(opened: Chrome, address: str, pages: Pages) -> None:
    opened.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    )
    widths = {}
    for place in places(pages):
        go(opened, address, place)
        wait_until(lambda: opened.execute_script("return screen.width") == 390, "the window is a phone's")
        widths[place] = opened.execute_script("return document.documentElement.scrollWidth")
    opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    assert {place: width for place, width in widths.items() if width > 390} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_all_text_has_the_contrast_of_wcag_aa(opened: Chrome, address: str, pages: Pages, theme: str) -> None:
    """4.5 to 1 for text of this size: https://www.w3.org/TR/WCAG22/#contrast-minimum."""
    script, low = CONTRAST.read_text(encoding="utf-8"), {}
    for place in places(pages):
        go(opened, address, place)
        opened.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
        low[place] = opened.execute_script(script)
    assert {place: texts for place, texts in low.items() if texts} == {}


def test_nothing_else_is_requested_and_nothing_is_logged(browser: Chrome, address: str, pages: Pages) -> None:
    browser.get(address)
    log(browser, "browser"), log(browser, "performance")  # what other tests left
    for place in places(pages):
        go(browser, address, place)
        for button in every(browser, "#theme, .sort, .copy"):
            browser.execute_script("arguments[0].click()", button)
        browser.execute_script("localStorage.clear()")
    assert log(browser, "browser") == []
    events = [json.loads(entry["message"])["message"] for entry in log(browser, "performance")]
    urls = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    own = address.partition("/?")[0]
    assert [url for url in urls if not url.startswith((own, "data:"))] == []
    assert urls


def test_hostile_text_is_shown_and_does_nothing(browser: Chrome, cache: Path, tmp_path: Path) -> None:
    """In names of models and tasks, questions, choices, answers, verdicts and filters."""
    from selenium.webdriver.support.ui import Select

    folder = tmp_path / "records"
    asked = {f"gen_args_{k}": {"arg_0": NASTY, "arg_1": NASTY} for k in range(3)}
    doc = {"question": NASTY, "choices": [NASTY, "b", "c"], "gold": 0}
    verdict = {"passed": [False], "status": [NASTY], "detail": [NASTY], "solutions": [NASTY]}
    for name, right in (("<b>first</b>&\"'", True), ("second\u202e{{7*7}}", False)):
        rows = [choice("<i>t&\"'", n, right) | {"doc": doc, "arguments": asked} for n in range(3)]
        texts = [text("words", n, NASTY + name, right, target=NASTY, filtered_resps=[NASTY]) for n in range(2)]
        programs = [text("programs", 0, NASTY, right, doc=doc, filtered_resps=[str(verdict)])]
        write_model(folder, name.replace("/", "_"), {"<i>t&\"'": rows, "words": texts, "programs": programs})
    pages = pages_of(folder)
    log(browser, "browser")
    with viewer(pages) as address:
        browser.get(address)
        for place in ["/", "/compare", "/items", f"/items?words={NASTY[:40]}", "/items?task=%3Cscript%3E"]:
            go(browser, address, place)
            assert "hit" not in browser.title
        go(browser, address, "/")
        assert "second\\u202e{{7*7}}" in one(browser, "#leaderboard").text
        go(browser, address, "/items")
        for number in range(6):
            go(browser, address, "/items")
            every(browser, ".items tbody th a")[number].click()
            wait_until(lambda: every(browser, ".steps"), "the item is open")
            shown = one(browser, "main").text
            assert "onerror=document.title='hit'" in shown
            assert "\\u202e\\u001b[2J{{7*7}}" in shown
            assert browser.title != "hit"
            assert not every(browser, "main img, main script, main i")
        one(browser, ".others summary").click()
        Select(one(browser, ".choose select")).select_by_index(1)
        wait_until(lambda: len(every(browser, ".verdicts thead th")) == 1, "a name is understood as the page shows it")
        assert "Cannot be shown" not in one(browser, "main").text
    errors = [entry for entry in log(browser, "browser") if "404" not in entry["message"]]
    assert errors == []
