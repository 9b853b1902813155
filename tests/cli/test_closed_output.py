"""A command ends quietly when the reader of its output ends first, and with one line when a disk is full."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.cli.closed_output import CLOSED_PIPE, fault_of_the_machine, until_closed
from harness.errors import InputError
from harness.reports.commands.output import write_file
from tests.conftest import HarnessCommand

FULL = Path("/dev/full")  # each write fails for want of space, on Linux


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of records."""
    folder = tmp_path_factory.mktemp("records")
    command = [sys.executable, "-m", "harness", "eval", "--backend", "scripted", "--model", "oracle", "uniform"]
    subprocess.run(
        [*command, "--tasks", "mini_logic", "--limit", "5", "--output_path", folder, "--no_cache"],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder


def run_with_closed_output(words: str, *, both: bool = False) -> tuple[int, str]:
    """Run a command whose reader has ended before it writes. Return its status and what it wrote to standard error."""
    reader, writer = os.pipe()
    os.close(reader)
    errors = writer if both else subprocess.PIPE
    done = subprocess.run(
        [sys.executable, "-m", "harness", *words.split()], stdout=writer, stderr=errors, text=True, check=False
    )
    os.close(writer)
    return done.returncode, done.stderr or ""


@pytest.mark.parametrize(
    "words",
    [
        "leaderboard {board}",
        "leaderboard {board} --format csv",
        "tasks list",
        "tasks list --format json",
        "eval --backend scripted --model uniform --tasks mini_logic --limit 2 --dry_run",
        "eval --help",
    ],
)
def test_a_closed_pipe_ends_a_command_quietly(words: str, board: Path) -> None:
    assert run_with_closed_output(words.format(board=board)) == (CLOSED_PIPE, "")


def test_the_status_is_that_of_tools_which_the_signal_ends() -> None:
    done = subprocess.run(["bash", "-c", "yes | head -1; exit ${PIPESTATUS[0]}"], capture_output=True, check=False)
    assert done.returncode == CLOSED_PIPE == 141


def test_head_gets_its_line(board: Path) -> None:
    command = f"{sys.executable} -m harness leaderboard {board} --format csv | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    header, status = done.stdout.splitlines()
    assert "model" in header
    assert status in ("0", str(CLOSED_PIPE)), "0 if everything was written before head ended"
    assert done.stderr == ""


def test_errors_may_go_into_the_closed_pipe_too() -> None:
    assert run_with_closed_output("evla", both=True)[0] == CLOSED_PIPE


def test_another_pipe_that_is_closed_is_an_error_of_its_own() -> None:
    def worker_died() -> int:
        raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        until_closed(worker_died)


def test_a_command_runs_without_standard_output() -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m harness tasks list >&-"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not FULL.exists(), reason="no /dev/full on this system")
def test_a_full_disk_is_one_line(board: Path) -> None:
    with FULL.open("w") as output:
        command = [sys.executable, "-m", "harness", "leaderboard", str(board)]
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, text=True, check=False)
    problem = "output: no space left on the disk or in your quota; free some, then run the command again."
    line = f"harness leaderboard: {problem}\n"
    assert (done.returncode, done.stderr) == (1, line)


def test_a_report_is_written_complete_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report, link = tmp_path / "report.html", tmp_path / "link.html"
    link.symlink_to(report)
    write_file("old", link)
    assert (report.read_text(), link.is_symlink()) == ("old", True)
    write_text = Path.write_text

    def until_full(path: Path, text: str, **options: str) -> int:
        write_text(path, text[:2], **options)
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_text", until_full)
    with pytest.raises(InputError, match=r"report\.html: cannot be written \(No space left on device\)"):
        write_file("new", report)
    monkeypatch.undo()
    assert report.read_text() == "old"
    assert sorted(tmp_path.iterdir()) == [link, report]
    write_file("into nothing", Path("/dev/null"))
    assert not Path("/dev/null").is_file()


def test_files_that_may_not_be_used_are_named_and_other_errors_are_not_explained(
    harness_here: HarnessCommand, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = PermissionError(errno.EACCES, "Permission denied", "/etc/x")
    assert (
        fault_of_the_machine(refused) == "/etc/x: Permission denied; give a writable path, or change its permissions."
    )
    assert fault_of_the_machine(OSError(errno.EIO, "Input/output error", "/etc/x")) == ""
    assert fault_of_the_machine(OSError("no number")) == ""

    def fail(_args: object) -> int:
        raise refused

    monkeypatch.setattr("harness.cli.doctor_command.run", fail)
    done = harness_here("doctor")
    assert (done.returncode, done.stderr) == (1, f"harness doctor: {fault_of_the_machine(refused)}\n")
