"""`make setup` and `make test` install missing system packages, or print the line to run; no test runs the real apt."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

ALL = ("bwrap", "chromium", "chromedriver")
PACKAGES = "bubblewrap chromium chromium-driver"
UPDATE = "update -qq"
INSTALL = f"install -y -qq {PACKAGES}"
LINE = "sudo apt-get install {}  # missing here: run this line, or its equivalent on this system\n"
INSTALLING = "Installing missing packages with apt-get: {}\n"


class Machine:
    """A copy of the Makefile after `pip install`, and a PATH with nothing but the programs given to it.

    The fake apt-get writes its arguments to `apt.log` and creates the programs of the packages it is asked for.
    """

    def __init__(self, folder: Path, *, user: int, programs: tuple[str, ...] = (), apt: str | None = "works") -> None:
        self.folder, self.path = folder, folder / "bin"
        self.path.mkdir()
        shutil.copytree(ROOT / "requirements", folder / "requirements")
        for name in ("Makefile", "pyproject.toml"):
            shutil.copy(ROOT / name, folder)
        (folder / ".venv" / "bin").mkdir(parents=True)
        self.program("id", f'[ "$*" = -u ] && echo {user}', folder=self.path)
        self.program("python", 'echo "python $*"', folder=folder / ".venv" / "bin")
        (folder / ".venv" / ".setup").touch()
        for name in programs:
            self.program(name, "exit 9")
        if apt is not None:
            fails = {"works": "", "update fails": "update", "install fails": "install"}[apt]
            self.program(
                "apt-get",
                f'echo "$*" >> {folder}/apt.log; echo Reading package lists\n'
                f'[ "$1" = "{fails}" ] && {{ echo "E: no network" >&2; exit 100; }}; exit 0',
            )

    def program(self, name: str, code: str, folder: Path | None = None) -> None:
        file = (folder or self.path) / name
        file.write_text(f"#!/bin/sh\n{code}\n")
        file.chmod(0o755)

    def make(self, target: str) -> subprocess.CompletedProcess[str]:
        make = shutil.which("make")
        assert make
        return subprocess.run(
            [make, "--no-print-directory", target],
            cwd=self.folder,
            env={"PATH": str(self.path)},
            capture_output=True,
            text=True,
            check=False,
        )

    def apt_runs(self) -> list[str]:
        log = self.folder / "apt.log"
        return log.read_text().splitlines() if log.exists() else []


def pytest_ran(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether `make test` went on to the tests (with the fake python above)."""
    return done.returncode == 0 and done.stdout.splitlines()[-1].startswith("python -m pytest ")


def before_pytest(done: subprocess.CompletedProcess[str]) -> str:
    """The standard output up to the line with which make shows pytest's command."""
    return done.stdout.partition(".venv/bin/python -m pytest")[0]


def test_root_with_everything_installed_runs_no_apt_and_prints_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=0, programs=ALL)
    setup, test = machine.make("setup"), machine.make("test")
    assert (setup.returncode, setup.stdout, setup.stderr) == (0, "", "")
    assert pytest_ran(test)
    assert before_pytest(test) == ""
    assert machine.apt_runs() == []


def test_setup_as_root_installs_the_sandbox_only_and_says_so(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=0)
    done = machine.make("setup")
    assert (done.returncode, done.stdout, done.stderr) == (0, INSTALLING.format("bubblewrap"), "")
    assert machine.apt_runs() == [UPDATE, "install -y -qq bubblewrap"]


def test_test_as_root_installs_the_browser_too(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=0)
    done = machine.make("test")
    assert pytest_ran(done)
    assert before_pytest(done) == INSTALLING.format(PACKAGES)
    assert machine.apt_runs() == [UPDATE, INSTALL]


@pytest.mark.parametrize(
    ("there", "package"),
    [
        (("bwrap", "chromium"), "chromium-driver"),
        (("bwrap", "chromedriver"), "chromium"),
        (("chromium", "chromedriver"), "bubblewrap"),
    ],
)
def test_only_what_is_missing_is_installed(tmp_path: Path, there: tuple[str, ...], package: str) -> None:
    machine = Machine(tmp_path, user=0, programs=there)
    assert before_pytest(machine.make("test")) == INSTALLING.format(package)
    assert machine.apt_runs() == [UPDATE, f"install -y -qq {package}"]


def test_a_user_who_is_not_root_gets_the_line_to_run_and_goes_on(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=1000)
    setup, test = machine.make("setup"), machine.make("test")
    assert (setup.returncode, setup.stdout, setup.stderr) == (0, LINE.format("bubblewrap"), "")
    assert pytest_ran(test)
    assert before_pytest(test) == LINE.format(PACKAGES)
    assert machine.apt_runs() == []


def test_a_user_who_is_not_root_and_lacks_nothing_sees_no_line(tmp_path: Path) -> None:
    assert before_pytest(Machine(tmp_path, user=1000, programs=ALL).make("test")) == ""


def test_root_without_apt_gets_the_line_to_run_and_goes_on(tmp_path: Path) -> None:
    done = Machine(tmp_path, user=0, apt=None).make("test")
    assert pytest_ran(done)
    assert before_pytest(done) == LINE.format(PACKAGES)
    assert done.stderr == ""


@pytest.mark.parametrize(("apt", "runs"), [("update fails", [UPDATE]), ("install fails", [UPDATE, INSTALL])])
def test_when_apt_fails_its_error_and_the_line_are_printed_and_the_tests_run(
    tmp_path: Path, apt: str, runs: list[str]
) -> None:
    machine = Machine(tmp_path, user=0, apt=apt)
    done = machine.make("test")
    assert pytest_ran(done)
    assert before_pytest(done) == INSTALLING.format(PACKAGES) + LINE.format(PACKAGES)
    assert done.stderr == "E: no network\n"
    assert machine.apt_runs() == runs


def test_linting_needs_no_system_package(tmp_path: Path) -> None:
    machine = Machine(tmp_path, user=0)
    for name in ("ruff", "mypy"):
        machine.program(name, "exit 0", folder=tmp_path / ".venv" / "bin")
    assert machine.make("lint").returncode == 0
    assert machine.apt_runs() == []
