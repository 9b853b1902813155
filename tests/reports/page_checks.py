"""What must hold of every page, large or small: size, speed, keyboard, themes, contrast, phone, print, no network.

`check_page` is the list; each part can also be called by itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.reports.page.pdf import print_pdf
from tests.reports.browsing import every, log, one
from tests.reports.browsing_checks import forget, low_contrast, pages_of, phone, requests

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

MEGABYTES, SECONDS, PAGES = 8, 2.0, 12
PHONE = 390  # pixels
THEMES = ("light", "dark")

# Milliseconds until the page has loaded and its script has run, and until another arm is compared with.
LOADED = "const [t] = performance.getEntriesByType('navigation'); return t.loadEventEnd - t.startTime"
ANSWERED = """
const select = document.querySelector("#against"), first = select.value, start = performance.now();
select.selectedIndex = select.options.length - 1;
select.dispatchEvent(new Event("change"));
document.body.getBoundingClientRect();
const milliseconds = performance.now() - start;
select.value = first;
select.dispatchEvent(new Event("change"));
return milliseconds;
"""
# What the Tab key visits, in the order of the document, and what it has visited: if a section is given, all before it.
REACHED = """
const visited = 'a[href], button, input, select, summary, [tabindex="0"]';
window.reached = [...document.querySelectorAll(visited)].filter((element) =>
  element.checkVisibility({ visibilityProperty: true }) && !element.closest("[popover]:not(:popover-open)"));
const note = ({ target }) => { if (reached.includes(target)) visits.push(reached.indexOf(target)); };
if (!window.visits) document.addEventListener("focusin", note);
window.visits = arguments[0] ? [reached.findIndex((element) => element.closest(arguments[0])) - 1] : [];
"""
# Names of elements that can have the focus but say nothing to a screen reader.
NAMELESS = """
const name = (element) => element.getAttribute("aria-label") || element.textContent.trim() || element.labels?.length;
return reached.filter((element) => !name(element)).map((element) => element.outerHTML.slice(0, 80));
"""
# Parts of the page, beside what scrolls by itself, that are wider than a phone.
TOO_WIDE = "return document.documentElement.scrollWidth"


def check_page(browser: Chrome, page: Path, folder: Path) -> None:
    """Check all that must hold of a page.

    Args:
        browser: Shows it.
        page: The file.
        folder: For the printed pages.
    """
    assert page.stat().st_size < MEGABYTES * 1e6
    forget(browser)
    assert min(_loading(browser, page)) < 1000 * SECONDS, "milliseconds until it can be used"
    assert browser.execute_script(ANSWERED) < 500, "milliseconds until another arm is compared with"
    if every(browser, "#item-list button"):
        check_items_by_keyboard(browser)
        _load(browser, page)
    check_matrix_by_keyboard(browser)
    browser.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    for theme in THEMES:
        browser.execute_script("document.documentElement.dataset.theme = arguments[0]", theme)
        assert low_contrast(browser) == [], theme
        with phone(browser):
            assert browser.execute_script(TOO_WIDE) <= PHONE, theme
            assert low_contrast(browser) == [], f"{theme}, phone"
    print_pdf(page.read_text(encoding="utf-8"), folder / "report.pdf")
    assert pages_of(folder / "report.pdf") < PAGES
    assert log(browser, "browser") == []
    assert requests(browser) == []


def _loading(browser: Chrome, page: Path) -> Iterator[float]:
    """Load the page, and yield the milliseconds; three times at most, because a busy machine is slow now and then."""
    for _ in range(3):
        _load(browser, page)
        milliseconds = float(browser.execute_script(LOADED))
        yield milliseconds
        if milliseconds < 1000 * SECONDS:
            return


def _load(browser: Chrome, page: Path) -> None:
    browser.get("about:blank")
    browser.get(page.as_uri())


def check_matrix_by_keyboard(browser: Chrome) -> None:
    """Tab from the start of the page to the matrix: all on the way is visited in order; Enter and arrows work."""
    from selenium.webdriver.common.keys import Keys

    browser.execute_script(REACHED)
    assert browser.execute_script(NAMELESS) == []
    _tab_to(browser, "#theme")
    before = one(browser, "html").get_attribute("data-theme")
    _press(browser, Keys.ENTER)
    assert one(browser, "html").get_attribute("data-theme") != before, "Enter on the switch changes the theme"
    _tab_to(browser, "#against")
    first = one(browser, "#against").get_attribute("value")
    changes = _texts(browser, ".change")
    _press(browser, Keys.ARROW_DOWN)
    assert one(browser, "#against").get_attribute("value") != first, "an arrow key chooses the next arm"
    assert _texts(browser, ".change") != changes
    _tab_to(browser, "#matrix-table .cell button")
    cell = one(browser, "#matrix-table .cell button")
    _press(browser, Keys.ENTER)
    begin = f"{cell.get_attribute('data-arm')} on {cell.get_attribute('data-task')}: "
    assert one(browser, "#pair").text.startswith(begin), "Enter on a cell shows its difference"
    visits = browser.execute_script("return visits")
    assert visits == sorted(visits), "Tab follows the order of the page"
    assert visits == list(range(visits[0], visits[-1] + 1)), "and leaves nothing out"


def check_items_by_keyboard(browser: Chrome) -> None:
    """Tab from the start of the page to the link to the items, follow it, and move through their list."""
    from selenium.webdriver.common.keys import Keys

    browser.execute_script(REACHED)
    _tab_to(browser, "nav a[href='#items']")
    _press(browser, Keys.ENTER)
    browser.execute_script(REACHED, "#items")
    _tab_to(browser, "#item-list button")
    _press(browser, Keys.ENTER)
    item = one(browser, "#item").text
    _press(browser, Keys.ARROW_DOWN)
    assert one(browser, "#item").text != item, "an arrow key opens the next item"
    focused = browser.switch_to.active_element
    assert focused.get_attribute("aria-current") == "true", "and the focus goes with it"


def _tab_to(browser: Chrome, selector: str) -> None:
    """Press Tab until the first element of a selector has the focus; everything on the way can be seen to have it."""
    from selenium.webdriver.common.keys import Keys

    target = one(browser, selector)
    ahead = "return reached.indexOf(arguments[0]) - (visits.length ? visits.at(-1) : -1)"
    for _ in range(3):  # a part that scrolls gets the focus too, and is counted only when it is reached
        steps = browser.execute_script(ahead, target)
        if steps > 0:
            _press(browser, *[Keys.TAB] * steps)
    outline = "const style = getComputedStyle(document.activeElement); return [style.outlineStyle, style.outlineWidth]"
    assert browser.switch_to.active_element == target, f"Tab reaches {selector}"
    assert browser.execute_script(outline) == ["solid", "2px"], f"the focus on {selector} can be seen"


def _press(browser: Chrome, *keys: str) -> None:
    from selenium.webdriver import ActionChains

    ActionChains(browser, duration=0).send_keys(*keys).perform()


def _texts(browser: Chrome, selector: str) -> list[Any]:
    texts: list[Any] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map((element) => element.textContent)", selector
    )
    return texts
