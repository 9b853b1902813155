"""What must hold of every page in a browser: contrast, no request, no error, nothing wider than a phone."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
