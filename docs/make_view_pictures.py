"""Take the pictures of the viewer in docs/examples: each kind of page, 1280 and 390 pixels wide, in both themes.

    PYTHONPATH=. .venv/bin/python docs/make_view_pictures.py RUNS [--models A B] [--task NAME] [--text_task NAME]

Needs chromium and its driver.
"""

from __future__ import annotations

import argparse
import io
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

from harness.records import index
from harness.reports.view.filters import Filter, matches
from harness.reports.view.options import Options
from harness.reports.view.pages import Pages
from harness.reports.view.preparing import prepared
from harness.reports.view.server import listening, server_of

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

FOLDER = Path(__file__).parent / "examples"
WIDTHS = {1280: 900, 390: 844}  # of a laptop and of a phone, with their heights
THEMES = ("light", "dark")
COLOURS = 256


def addresses(pages: Pages, models: tuple[str, ...], task: str, text_task: str) -> dict[str, str]:
    """Return the address of each picture's page: of the items, the first that flipped, or else the first."""
    chosen = {}
    for name in (task, text_task):
        filters = [Filter(models=models, task=name, outcome=outcome) for outcome in ("flipped", "")]
        wanted, numbers = next((one, found) for one in filters if (found := matches(pages.index, one).page(1)))
        (item,) = pages.index.items(numbers[:1])
        chosen[name] = f"/item?{wanted.query()}&id={item.id}"
    return {
        "overview": "/",
        "differences": f"/compare?{Filter(models=models).query()}",
        "items": f"/items?{Filter(models=models, outcome='flipped').query()}",
        "item": chosen[task],
        "texts": chosen[text_task],
    }


def take(browser: Chrome, address: str, places: dict[str, str]) -> None:
    """Write the pictures of all pages; `address` has the token."""
    browser.get(address)
    base = address.partition("/?")[0]
    for width, height in WIDTHS.items():
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        for theme in THEMES:
            browser.execute_script("localStorage.setItem('theme', arguments[0])", theme)
            for name, place in places.items():
                browser.get(base + place)
                picture = Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert("RGB")
                file = FOLDER / f"view_{name}_{theme}_{width}.png"
                picture.quantize(COLOURS, dither=Image.Dither.NONE).save(file, optimize=True)


def main() -> None:
    """Serve the records, and take the pictures."""
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options as ChromeOptions
    from selenium.webdriver.chrome.service import Service

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--models", nargs="+", default=[])
    parser.add_argument("--task", default="mini_logic")
    parser.add_argument("--text_task", default="mini_code_gen")
    args = parser.parse_args()
    records = index([args.runs])
    options = Options(runs=(str(args.runs),), flags=(), force=False, skip_broken=False)
    pages = Pages(prepared(records, options), records, options)
    models = tuple(args.models) or pages.index.models[:2]
    chrome = ChromeOptions()
    chrome.binary_location = shutil.which("chromium") or ""
    profile = tempfile.mkdtemp()
    for flag in (
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--hide-scrollbars",
        "--window-size=1400,1100",
        f"--user-data-dir={profile}",
    ):
        chrome.add_argument(flag)
    with listening(0) as listener:
        server, address = server_of(pages, listener)
        threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True).start()
        browser = webdriver.Chrome(options=chrome, service=Service(shutil.which("chromedriver")))
        try:
            take(browser, address, addresses(pages, models, args.task, args.text_task))
        finally:
            browser.quit()
            server.should_exit = True
            shutil.rmtree(profile, ignore_errors=True)


if __name__ == "__main__":
    main()
