"""What must hold of every page in a browser: contrast, no request, no error, nothing wider than a phone."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.reports.documents.tables import Kind, text
from tests.reports.browsing import log
from tests.waiting import wait_until

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

CONTRAST = Path(__file__).parents[1] / "contrast.js"


def low_contrast(browser: Chrome) -> list[Any]:
    """Return the visible texts and shapes whose contrast with what is behind them is too low."""
    low: list[Any] = browser.execute_script(CONTRAST.read_text(encoding="utf-8"))
    return low


@contextmanager
def phone(browser: Chrome) -> Iterator[None]:
    """Show the page on a screen of 390 pixels."""
    size = {"width": 390, "height": 800, "deviceScaleFactor": 1, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    wait_until(lambda: browser.execute_script("return screen.width") == 390, "the window is a phone's")
    yield
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def printed(browser: Chrome, folder: Path) -> int:
    """Print the page as PDF with its own page size, and return the number of pages."""
    flags = {"printBackground": False, "preferCSSPageSize": True}
    content = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", flags)["data"])
    (folder / "page.pdf").write_bytes(content)
    return pages_of(folder / "page.pdf")


def pages_of(file: Path) -> int:
    """Return the number of pages of a PDF file by Chromium."""
    content = file.read_bytes()
    assert content.startswith(b"%PDF")
    return len(re.findall(rb"/Type\s*/Page\b(?!s)", content))


def forget(browser: Chrome) -> None:
    """Drop what was logged before."""
    log(browser, "browser"), log(browser, "performance")


def requests(browser: Chrome) -> list[str]:
    """Return the addresses requested since `forget`, other than of the page itself."""
    events = [json.loads(entry["message"])["message"] for entry in log(browser, "performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return [url for url in urls if not url.startswith(("file:", "data:"))]


def numbers_in(value: Any) -> set[str]:
    """Every number of a JSON value with three decimals, without its sign."""
    if isinstance(value, dict):
        return set().union(*map(numbers_in, value.values()))
    if isinstance(value, list):
        return set().union(*map(numbers_in, value))
    return {f"{abs(value):.3f}"} if isinstance(value, int | float) else set()


# Cells of every table of the page, by the key that the table has in JSON.
CELLS = """
const written = (table) => {
  const keys = [...table.tHead.rows[0].cells].map((cell) => cell.dataset.key || "");
  return [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell, at) => [keys[at], cell.textContent]));
};
const tables = [...document.querySelectorAll("table.grid[id]")];
return tables.map((table) => [table.id.replace("table-", ""), written(table)]);
"""
KINDS: tuple[Kind, ...] = ("text", "count", "value", "difference", "interval", "p", "ranks", "points")


def unlike_json(browser: Chrome, tables: dict[str, Any]) -> tuple[int, list[Any]]:
    """Compare every cell of every table with JSON.

    Args:
        browser: It shows the page.
        tables: The tables of the JSON output, by key.

    Returns:
        The number of cells that JSON has too, and those that differ, with what JSON has.
    """
    same, wrong = 0, []
    for key, rows in browser.execute_script(CELLS):
        if len(rows) != len(tables.get(key, ())):
            wrong.append([key, f"{len(rows)} rows"])
            continue
        for cells, expected in zip(rows, tables[key], strict=True):
            for column, shown in cells:
                if column not in ("", "trouble"):  # drawings; and failed and cut, which the matrix of JSON has
                    right = column in expected and shown in _written(expected[column])
                    same += right
                    wrong += [] if right else [[key, column, shown, expected.get(column)]]
    return same, wrong


def _written(value: Any) -> set[str]:
    """The texts that a raw value of JSON may have on the page; JSON has null for infinite numbers."""
    if value is None:
        return {"-", "inf"}
    plain = tuple(value) if isinstance(value, list) else value
    texts = set()
    for kind in KINDS:
        with suppress(TypeError, ValueError, IndexError):
            texts.add(text(plain, kind))
    return texts


# Texts of drawings that leave their drawing, with the side; a pixel is left for rounding.
CUT = """
const drawings = [...document.querySelectorAll("svg")].filter((drawing) => drawing.checkVisibility());
return drawings.flatMap((drawing) => {
  const frame = drawing.getBoundingClientRect();
  return [...drawing.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < frame.left - 1 || box.right > frame.right + 1 || box.top < frame.top - 3;
  }).map((text) => [drawing.getAttribute("class"), text.textContent]);
});
"""


def cut_texts(browser: Chrome) -> list[Any]:
    """Return the texts of drawings that do not lie within their drawing, such as a number without its minus sign."""
    browser.execute_script("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    texts: list[Any] = browser.execute_script(CUT)
    return texts
