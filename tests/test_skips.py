"""What `make test` says of tests that were not run, and that missing data is a failure in CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

TESTS = """
import pytest

@pytest.mark.parametrize("n", range(3))
def test_one(n):
    pytest.skip("no harbour")

@pytest.mark.skipif(True, reason="no ferry")
def test_two():
    pass

def test_three(data_dir):
    pass
"""


def run(folder: Path, ci: str) -> str:
    """What pytest prints about `TESTS` where the public files are missing."""
    (folder / "test_these.py").write_text(TESTS, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    environment = {**os.environ, "HARNESS_DATA": str(folder / "nowhere"), "CI": ci, "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "test_these.py"]
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False).stdout


def test_skips_are_counted_by_reason_and_missing_data_names_its_folder(tmp_path: Path) -> None:
    printed = run(tmp_path, ci="")
    lines = [line.split(maxsplit=1) for line in printed.splitlines()]
    assert ["3", "no harbour"] in lines
    assert ["1", "no ferry"] in lines
    assert ["5", "in all"] in lines
    assert f"1  no public benchmark files: {tmp_path / 'nowhere'} does not exist" in printed


def test_in_ci_missing_data_is_a_failure(tmp_path: Path) -> None:
    ended = run(tmp_path, ci="true")
    assert "4 skipped, 1 error" in ended
    assert "no public benchmark files" in ended
