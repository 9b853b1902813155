"""A killed process counts as ended although its parent has not asked after it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from harness.processes import has_ended
from harness.sandbox.cgroups import _remove_stale


def _listed_after_its_end(program: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen([program])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    return process


def test_ended_processes_are_told_from_running_ones(tmp_path: Path) -> None:
    odd = tmp_path / "a) R (b"  # such a name stands before the state in /proc/PID/stat
    shutil.copy("/bin/true", odd)
    listed = [_listed_after_its_end(program) for program in ("/bin/true", str(odd))]
    assert all(has_ended(str(process.pid)) for process in listed)
    for process in listed:
        process.wait()
        assert has_ended(str(process.pid))
    assert not has_ended(str(os.getpid()))


def test_groups_of_ended_processes_are_removed(tmp_path: Path) -> None:
    listed = _listed_after_its_end("/bin/true")
    ended, running = (tmp_path / f"harness-sandbox-{number}-0" for number in (listed.pid, os.getpid()))
    ended.mkdir()
    running.mkdir()
    _remove_stale(tmp_path)
    assert [ended.exists(), running.exists()] == [False, True]
    listed.wait()
