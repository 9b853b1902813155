"""A zombie counts as ended."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from unittest import mock

import pytest

from harness.processes import has_ended
from harness.sandbox.cgroups import _remove_stale


def _zombie(program: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([program])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return process


def test_ended_processes_are_told_from_running_ones(tmp_path: Path) -> None:
    odd = tmp_path / "a) R (b"  # such a name stands before the state in /proc/PID/stat
    shutil.copy("/bin/true", odd)
    zombies = [_zombie(program) for program in ("/bin/true", str(odd))]
    assert all(has_ended(str(process.pid)) for process in zombies)
    for process in zombies:
        process.wait()
        assert has_ended(str(process.pid))
    assert not has_ended(str(os.getpid()))


def test_a_process_that_may_not_be_seen_counts_as_running(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (PermissionError, FileNotFoundError):  # with hidepid=1 and hidepid=2
        monkeypatch.setattr(Path, "read_text", mock.Mock(side_effect=error))
        assert not has_ended("1")
    assert has_ended("4194305"), "numbers end at 2^22"


def test_groups_of_ended_processes_are_removed(tmp_path: Path) -> None:
    zombie = _zombie("/bin/true")
    ended, running = (tmp_path / f"harness-sandbox-{pid}-0" for pid in (zombie.pid, os.getpid()))
    ended.mkdir()
    running.mkdir()
    _remove_stale(tmp_path)
    assert [ended.exists(), running.exists()] == [False, True]
    zombie.wait()
