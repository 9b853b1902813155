"""`--format pdf`: a browser prints the page; without one, a one-line error before anything is computed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from harness.reports.page import pdf
from tests.reports.browsing_checks import pages_of
from tests.reports.conftest import Command
from tests.reports.records_for_tests import write_run


@pytest.fixture
def models(tmp_path: Path) -> list[Path]:
    return [write_run(tmp_path, name, right) for name, right in (("first", range(8)), ("second", range(12)))]


def test_the_ending_pdf_prints_the_page(command: Command, models: list[Path], tmp_path: Path) -> None:
    if not any(shutil.which(name) for name in pdf.BROWSERS):
        pytest.skip("chromium is missing: sudo apt-get install chromium")
    code, out, err = command("compare", *models, "--output_path", tmp_path / "report.pdf")
    assert (code, out) == (0, ""), err
    assert err == f"written: {tmp_path / 'report.pdf'}\n"
    assert 1 <= pages_of(tmp_path / "report.pdf") <= 6


def test_without_a_browser_the_error_names_the_remedy(
    command: Command, models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, err = command("compare", *models, "--output_path", tmp_path / "report.pdf")
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
    assert "--format pdf: no Chromium or Chrome in PATH; install one" in err
    assert not (tmp_path / "report.pdf").exists()


def test_a_pdf_needs_a_file(command: Command, models: list[Path]) -> None:
    code, _, err = command("compare", *models, "--format", "pdf")
    assert code == 2
    assert "--format pdf: is not text; give a file with --output_path, such as report.pdf." in err


def test_a_browser_that_fails_is_an_error_of_one_line(
    command: Command, models: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = tmp_path / "bin" / "chromium"
    browser.parent.mkdir()
    browser.write_text("#!/bin/sh\necho 'cannot open display' >&2\nexit 3\n")
    browser.chmod(0o755)
    monkeypatch.setenv("PATH", f"{browser.parent}:/bin:/usr/bin")
    code, _, err = command("compare", *models, "--output_path", tmp_path / "report.pdf")
    assert code == 1
    assert err.count("\n") == 1
    assert "could not print the page (cannot open display); write --format html" in err
    assert not (tmp_path / "report.pdf").exists()
