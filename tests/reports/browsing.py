"""A headless Chromium for tests of pages, and short names for what they do in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
    "--disable-sync", "--no-first-run", "--window-size=1300,1200",
)  # fmt: skip


def open_browser(profile: Path) -> Iterator[Chrome]:
    """Chromium. Where it is missing, tests are skipped; in CI, where `make test` installs it, they fail."""
    chromium, driver_program = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver_program):
        missing = "chromium or its driver is missing: sudo apt-get install chromium chromium-driver"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)

    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(driver_program))
    yield driver
    driver.quit()


def one(browser: Chrome, selector: str) -> Any:
    return browser.find_element("css selector", selector)


def every(browser: Chrome, selector: str) -> list[Any]:
    return browser.find_elements("css selector", selector)


def log(browser: Chrome, kind: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = browser.get_log(kind)  # type: ignore[no-untyped-call]  # selenium leaves it untyped
    return entries
