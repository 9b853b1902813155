"""The suites that the tests of tasks load from, once in a test run."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from harness.paths import tasks_dir
from tests.synthetic import write_project

from .suites import Suite, open_suite


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    logging.getLogger("lm_eval").setLevel(logging.ERROR)


@pytest.fixture(scope="session")
def synthetic(tmp_path_factory: pytest.TempPathFactory) -> Suite:
    """Every task, over data that the tests write."""
    project = write_project(tmp_path_factory.mktemp("suite"))
    return open_suite("synthetic", project.tasks, project.data, project.root / "cache")


@pytest.fixture(scope="session")
def public(tmp_path_factory: pytest.TempPathFactory, data_dir: Path) -> Suite:
    """The project's tasks as they are, over the public files."""
    return open_suite("public", tasks_dir(), data_dir, tmp_path_factory.mktemp("public") / "cache")


@pytest.fixture
def suite(request: pytest.FixtureRequest) -> Suite:
    """The one that `on_both` names."""
    chosen: Suite = request.getfixturevalue(request.param)
    return chosen
