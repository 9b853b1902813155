"""A headless Chromium for tests of pages, and short names for what they do in it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.browsers import chromium

if TYPE_CHECKING:
    from selenium.webdriver import Chrome


def open_browser(profile: Path) -> Iterator[Chrome]:
    """Yield a browser for a fixture, and end it."""
    with chromium(profile) as driver:
        yield driver


def one(browser: Chrome, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def every(browser: Chrome, selector: str) -> list[Any]:
    return browser.find_elements("css selector", selector)


def log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]  # selenium leaves it untyped
    return entries
