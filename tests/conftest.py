"""Shared fixtures: a real model, a cache that lives as long as the test run, the command line as a user runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest

from experiments.reference_model import reference_model
from harness.console import quiet_libraries
from harness.paths import cache_dir
from tests.synthetic import Project, write_project
from tests.waiting import CEILING_SECONDS

quiet_libraries()  # before a test imports them, as the command does

# A time limit for one example fails on a busy machine.
hypothesis.settings.register_profile("busy machine", deadline=None)
hypothesis.settings.load_profile("busy machine")

ROOT = Path(__file__).resolve().parent.parent
SHARED_DATA = ROOT.parent / "shared" / "data"
# Taken once: a test may set the variable to a folder of its own.
PUBLIC_DATA = Path(os.environ.get("HARNESS_DATA") or SHARED_DATA)

PIP = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]

HarnessCommand = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session", autouse=True)
def interrupts() -> Iterator[None]:
    """Let SIGINT interrupt the processes that tests start.

    A shell that runs the tests in the background (`make test &`) makes them ignore it, and their children inherit that.
    """
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our wheel, built from this folder."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([*PIP, "wheel", "--no-deps", "-w", folder, ROOT], check=True)
    (built,) = folder.glob("stage_harness-*.whl")
    return built


@pytest.fixture(scope="session")
def smollm2() -> Path:
    """SmolLM2-135M-Instruct as a transformers folder, converted once and kept in the user's cache."""
    from harness.checkpoints.resolver import resolve

    return resolve(str(reference_model())).weights


@pytest.fixture(scope="session")
def gemma3() -> Path:
    """Gemma 3 270M, a base model, as a .gguf file. Only tests marked `gemma` may ask for it.

    It is downloaded for those who agree to its terms, which `python experiments/reference_model.py gemma3` shows.
    """
    from harness.errors import HarnessError

    try:
        return reference_model("gemma3", accept_terms=os.environ.get("HARNESS_ACCEPT_GEMMA_TERMS") == "1")
    except HarnessError as error:
        reason = f"{str(error).splitlines()[0]} For the tests, set HARNESS_ACCEPT_GEMMA_TERMS=1."
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)


def public_data() -> Path:
    """The folder of public benchmark files, which may be missing: `HARNESS_DATA`, or one beside the repository."""
    return PUBLIC_DATA


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of public benchmark files. Without it the few tests of these very files are skipped; in CI, which has
    it, they fail. Whatever only needs data of the right form takes it from `tests.synthetic`.
    """
    folder = public_data()
    if not folder.is_dir():
        missing = f"no public benchmark files: {folder} does not exist; name their folder with HARNESS_DATA"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(missing)
    return folder


@pytest.fixture
def synthetic_project(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The project's tasks over synthetic data, in place of its own, in a folder that the test may change."""
    project = write_project(tmp_path / "project")
    project.installed(monkeypatch)
    return project


@pytest.fixture(scope="session")
def bubblewrap() -> str:
    """The sandbox's backend: without it the tests that want it are skipped with the reason; in CI, which installs it,
    they fail. Attacks never run in anything less.
    """
    from harness.sandbox import SandboxError
    from harness.sandbox.backends import choose

    try:
        return choose("bubblewrap")
    except SandboxError as error:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(str(error))


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder for this test; downloads and converted models are linked in, so that none is made twice."""
    folder = tmp_path / "cache"
    folder.mkdir()
    for part in ("downloads", "models"):
        (cache_dir() / part).mkdir(parents=True, exist_ok=True)
        (folder / part).symlink_to(cache_dir() / part)
    monkeypatch.setenv("HARNESS_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def harness_here(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> HarnessCommand:
    """Run `harness` in this process, which spares the imports, with an empty journal."""
    from harness.cli import main

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()  # what making the fixtures printed
        arguments = [str(word) for word in words]
        try:
            code = main(arguments)
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)

    return run


@pytest.fixture
def harness_command(own_cache: Path) -> HarnessCommand:
    """Run `harness` in a process of its own, with an empty journal."""

    def run(
        *words: object, cwd: Path | None = None, env: Mapping[str, str] | None = None, timeout: float = CEILING_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "harness", *map(str, words)],
            cwd=cwd or ROOT,
            env={**os.environ, "HARNESS_CACHE_DIR": str(own_cache), **(env or {})},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many tests were skipped, one line for each reason."""
    if terminalreporter.config.option.collectonly:
        return
    reasons = Counter(_reason(report) for report in terminalreporter.getreports("skipped"))
    terminalreporter.section("skipped tests by reason")
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count:>5}  {reason}")
    terminalreporter.line(f"{reasons.total():>5}  in all")


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    place = report.longrepr
    text = place[2] if isinstance(place, tuple) else str(place)
    return re.sub(r"^Skipped: ", "", text)
