"""The files that describe the project agree with each other, and the README's figures with the measurements."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

import yaml

import harness
from tests.conftest import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_all_files_name_the_same_version_and_licence() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert {project["version"], citation["version"], harness.__version__} == {harness.__version__}
    assert project["license"] == citation["license"]
    assert project["keywords"] == citation["keywords"]
    assert f"\n## {harness.__version__}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_comparison_with_lm_eval_is_that_of_the_installed_release() -> None:
    """After an update of lm-eval, look its column of the table up again."""
    assert f"| lm-eval {version('lm_eval')} |" in README


def test_hooks_before_a_commit_run_programs_that_exist() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    for hook in config["repos"][0]["hooks"]:
        program, *words = hook["entry"].split()
        assert program.startswith(".venv/bin/")
        if words[:1] == ["-m"]:
            assert importlib.util.find_spec(words[1]) is not None, hook["id"]


def test_every_figure_of_the_readme_was_measured() -> None:
    section = README.split("## Measured\n")[1].split("\n## ")[0]
    rows = [line.split(" | ")[1:3] for line in section.splitlines() if line.startswith("| ")][1:]
    figures = [figure for row in rows for cell in row for figure in re.findall(r"\d+\.\d+", cell)]
    assert len(figures) > 10
    measured = {f"{value:.{digits}f}" for value in _measured() for digits in (1, 2)}
    assert [figure for figure in figures if figure not in measured] == []


def _measured() -> Iterator[float]:
    """Yield every number of every measurement."""
    for path in (ROOT / "benchmarks" / "results").glob("*.jsonl"):
        for line in path.read_text(encoding="utf-8").splitlines():
            yield from _numbers(json.loads(line))


def _numbers(value: Any) -> Iterator[float]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for one in value:
            yield from _numbers(one)
    elif isinstance(value, int | float):
        yield float(value)
