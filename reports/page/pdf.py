"""Print a page to PDF with a headless Chromium, offline and without a profile."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from harness.errors import HarnessError, InputError

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
TIMEOUT_SECONDS = 120.0
_FLAGS = (
    "--headless",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-pdf-header-footer",
    "--run-all-compositor-stages-before-draw",
    "--virtual-time-budget=10000",  # milliseconds for the page's script; they pass at once
)


def find_browser() -> str:
    """Return the path of a browser that prints to PDF.

    Raises:
        InputError: There is none.
    """
    for name in BROWSERS:
        path = shutil.which(name)
        if path is not None:
            return path
    raise InputError(
        "--format pdf: no Chromium or Chrome in PATH; install one (Debian: apt-get install chromium), or write "
        "--format html and print it from any browser."
    )


def print_pdf(page: str, path: Path) -> None:
    """Write the page to a PDF file.

    Args:
        page: The page as HTML.
        path: The file to write.

    Raises:
        InputError: There is no browser, or the file cannot be written.
        HarnessError: The browser failed.
    """
    browser = find_browser()
    with tempfile.TemporaryDirectory(prefix="harness-pdf-") as name:
        folder = Path(name)
        (folder / "page.html").write_text(page, encoding="utf-8")
        target = folder / "page.pdf"
        # Chromium refuses to run as root with its own sandbox; the page is ours, and its policy forbids the network.
        root = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
        command = [browser, *_FLAGS, *root, f"--user-data-dir={folder / 'profile'}", f"--print-to-pdf={target}"]
        try:
            done = subprocess.run(  # noqa: S603 - a browser found in PATH, and files of our own
                [*command, (folder / "page.html").as_uri()],
                capture_output=True,
                timeout=TIMEOUT_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise HarnessError(
                f"{browser}: did not print the page within {TIMEOUT_SECONDS:.0f} s; write --format html and print that."
            ) from None
        if done.returncode or not target.is_file():
            lines = done.stderr.decode(errors="replace").strip().splitlines()
            raise HarnessError(
                f"{browser}: could not print the page ({lines[-1] if lines else done.returncode}); write --format html "
                "and print that."
            )
        try:
            shutil.copyfile(target, path)
        except OSError as error:
            raise InputError(
                f"--output_path {path}: cannot be written ({error.strerror}); give another file."
            ) from None
