"""Every example in docs/python.md and in the API's docstrings runs, and prints what stands there."""

from __future__ import annotations

import doctest
from importlib import import_module
from pathlib import Path

import pytest

import harness
from tests.api.world import write_world
from tests.conftest import ROOT

OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
FUNCTIONS = ("evaluate", "compare", "leaderboard", "train", "run", "load")


@pytest.fixture
def world(tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = write_world(tmp_path / "world")
    monkeypatch.chdir(folder)
    return folder


def _run(test: doctest.DocTest) -> doctest.TestResults:
    report: list[str] = []
    results = doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append)
    assert not results.failed, "".join(report)
    return results


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_example_of_a_function_runs(name: str, world: Path) -> None:
    function = getattr(harness, name)
    module = import_module(function.__module__)
    (test,) = doctest.DocTestFinder(recurse=False).find(function, name, module=module)
    assert test.examples, f"{name} has no example"
    _run(test)


def test_the_page_runs_from_top_to_bottom(world: Path) -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    test = doctest.DocTestParser().get_doctest(text, {}, "python.md", "docs/python.md", 0)
    assert _run(test).attempted > 15


def test_the_page_names_every_public_object() -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    missing = [name for name in vars(harness)["__all__"] if name != "__version__" and name not in text]
    assert not missing
