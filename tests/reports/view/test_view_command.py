"""``harness view`` as a user runs it: one line with the address, a port that is taken, Ctrl-C, missing packages."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from http.cookiejar import CookieJar
from pathlib import Path

import pytest

from harness.reports.commands import view
from tests.conftest import ROOT
from tests.reports.conftest import Command
from tests.reports.view.records import write_all


def test_it_prints_its_address_answers_there_and_ends_with_ctrl_c(every_outcome: Path, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "harness", "view", str(every_outcome), "--port", "0"],
        cwd=ROOT,
        env={**os.environ, "HARNESS_CACHE_DIR": str(tmp_path / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{32}", address), process.communicate()
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
        assert "Ctrl-C" in process.stdout.readline()
        with opener.open(address, timeout=60) as answer:
            assert "2 models, 3 tasks, 20 items" in answer.read().decode()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, errors) == (0, "")


def test_a_port_that_is_taken_is_named(every_outcome: Path, command: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, out, err = command("view", every_outcome, "--port", port)
    assert (code, out) == (2, "")
    assert err.startswith(f"harness view: --port {port}: cannot be used")
    assert err.count("\n") == 1


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_no_machine_has_is_refused(every_outcome: Path, command: Command, port: int) -> None:
    code, _, err = command("view", every_outcome, "--port", port)
    assert code == 2
    assert f"--port {port}" in err
    assert err.count("\n") == 1


def test_a_folder_without_records_is_named(command: Command, tmp_path: Path) -> None:
    code, _, err = command("view", tmp_path)
    assert (code, "no runs found" in err, err.count("\n")) == (2, True, 1)


@pytest.mark.parametrize("damage", ["cut", "missing", "no JSON"])
def test_a_damaged_samples_file_is_named_and_nothing_is_indexed(
    command: Command, own_cache: Path, tmp_path: Path, damage: str
) -> None:
    file = next((write_all(tmp_path / "runs") / "code").glob("samples_words_*.jsonl"))
    text = file.read_text(encoding="utf-8")
    if damage == "missing":
        file.unlink()
    else:
        file.write_text(text[:-9] if damage == "cut" else text.replace('{"doc_id": 3', '{"doc_id": three'))
    code, out, err = command("view", tmp_path / "runs")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert str(file) in err
    assert not [file for file in (own_cache / "view").iterdir() if file.is_file()]


def test_a_missing_package_is_named_with_its_remedy(
    every_outcome: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(view, "NEEDED", ("starlette", "no_such_package"))
    code, _, err = command("view", every_outcome)
    assert code == 2
    assert "no_such_package" in err
    assert "pip install 'stage-harness[view]'" in err
