"""Runs to compare, made once per session by the real evaluation command with scripted models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from harness.cli import main
from tests.reports.browsing import open_browser
from tests.tasks_for_tests import write_tasks

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

Command = Callable[..., tuple[int, str, str]]
Evaluate = Callable[..., Path]


@pytest.fixture(scope="session")
def report_tasks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tasks(tmp_path_factory.mktemp("report-tasks"))


def evaluate(output: Path, tasks: Path, *words: object, names: str = "t_all,mini_logic") -> Path:
    """Write a run, and return `output`."""
    code = main([
        "eval", "--backend", "scripted", "--include_path", str(tasks), "--tasks", names, "--no_cache", "--limit", "40",
        "--output_path", str(output), *map(str, words),
    ])  # fmt: skip
    assert code in (0, 1)
    return output


@pytest.fixture(scope="session")
def runs(report_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with runs of three scripted models on three tasks."""
    return evaluate(tmp_path_factory.mktemp("runs"), report_tasks, "--model", "oracle", "corrupted", "uniform")


@pytest.fixture(scope="session")
def failed_run(report_tasks: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run in which some requests failed."""
    words = ("--model", "uniform", "--model_args", "missing=0.1", "--allow_failures", "900")
    return evaluate(tmp_path_factory.mktemp("failed"), report_tasks, *words)


@pytest.fixture
def command(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run `harness` in this process, and return exit code, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.reports.small_designs import write_study

    return write_study(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    yield from open_browser(tmp_path_factory.mktemp("profile"))


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The worked example as run folders; returns the design file."""
    from tests.factorial_example import example_tasks
    from tests.reports.small_designs import FACTORS
    from tests.reports.study_records import RunTask, write_design, write_study_run

    folder = tmp_path_factory.mktemp("example")
    tasks, runs = example_tasks(), []
    seeds = next(iter(tasks.values())).values.shape[2]
    for p, pretrain in enumerate(FACTORS["pretrain"]):
        for t, tune in enumerate(FACTORS["tune"]):
            for seed in range(seeds):
                name = f"{'NC'[p]}{'NC'[t]}-{seed}"
                own = {
                    task: RunTask(
                        values=one.values[p, t, seed], clusters=one.clusters.tolist(), chance=one.chance, domain=task
                    )
                    for task, one in tasks.items()
                }
                write_study_run(folder / "runs", name, own)
                parent = f"pre-{pretrain}-{seed}"
                runs.append({"run": f"runs/{name}", "pretrain": pretrain, "tune": tune, "parent": parent, "seed": seed})
    return write_design(folder / "design.yaml", FACTORS, runs)
