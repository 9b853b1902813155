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

# WCAG 2.2, 1.4.3: 4.5 to 1; 3 to 1 for large text. Returns the texts below that, with their ratio.
LOW_CONTRAST = """
const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const known = new Map();
const rgba = (colour) => {
  if (!known.has(colour)) {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    known.set(colour, a ? [r, g, b, a / 255] : [0, 0, 0, 0]);
  }
  return known.get(colour);
};
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
const linear = (v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const luminance = (c) => 0.2126 * linear(c[0]) + 0.7152 * linear(c[1]) + 0.0722 * linear(c[2]);
const background = (element) => {
  const layers = [];
  for (let e = element; e; e = e.parentElement) {
    const colour = rgba(getComputedStyle(e).backgroundColor);
    if (colour[3]) layers.push(colour);
    if (colour[3] === 1) break;
  }
  return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255, 1]);
};
const low = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const node = walker.currentNode, element = node.parentElement;
  const words = node.textContent.trim().slice(0, 40), silent = ["SCRIPT", "STYLE", "OPTION", "title"];
  if (!words || !element.checkVisibility() || silent.includes(element.tagName)) continue;
  const style = getComputedStyle(element), below = background(element);
  const text = over(rgba(element instanceof SVGElement ? style.fill : style.color), below);
  const [a, b] = [luminance(text), luminance(below)].sort((x, y) => y - x);
  const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
  const ratio = (a + 0.05) / (b + 0.05);
  if (ratio < (large ? 3 : 4.5)) low.push([words, element.className.baseVal ?? element.className, ratio.toFixed(2)]);
}
return low;
"""


def low_contrast(browser: Chrome) -> list[Any]:
    """Return the visible texts whose contrast with what is behind them is too low."""
    texts: list[Any] = browser.execute_script(LOW_CONTRAST)
    return texts


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
