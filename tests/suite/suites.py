"""The suite's tasks over synthetic data, and over the public files where these are here.

A test of every task says over which data it runs:

    @on_both(SCORED)                                   # synthetic, and public files in addition
    def test_it(suite: Suite, name: str) -> None:
        task = suite.load(name)

    @pytest.mark.parametrize("name", SCORED)           # synthetic alone
    def test_it(synthetic: Suite, name: str) -> None: ...

Without the public files, the tests over them are not generated.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

import pytest
from lm_eval.api.task import Task
from lm_eval.tasks import TaskManager

from harness.data.manifest import all_files
from harness.paths import tasks_dir
from harness.suite.definitions import Entry, read_folder
from tests.conftest import public_data

ALL_TASKS = {name: entry for name, entry in read_folder(tasks_dir()).items() if entry.kind == "task"}
# Tasks with lm-eval's own prompts have a test file of their own, test_as_lm_eval.py.
TASKS = {name: entry for name, entry in ALL_TASKS.items() if not name.endswith("_lm_eval")}
# What the shared folder of public files lacks: these files are fetched from the hub or from their authors.
FETCHED = {
    *(f"ekar_{language}_{part}" for language in ("en", "zh") for part in ("validation", "test")),
    "hellaswag_val", "hellaswag_train", "ceval_logic_val", "ceval_logic_dev", "scienceqa_full",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Tasks over one kind of data; each is loaded once in a test run."""

    kind: Literal["synthetic", "public"]
    tasks: Path
    data: Path
    cache_dir: Path
    entries: dict[str, Entry]
    manager: TaskManager
    _loaded: dict[str, Task] = field(default_factory=dict)

    def load(self, name: str) -> Task:
        if name not in self._loaded:
            self._loaded.update(self.load_all(name))
        return self._loaded[name]

    def load_all(self, name: str) -> dict[str, Task]:
        """The tasks of a group, or the one task of that name."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HARNESS_DATA", str(self.data))
            patch.setenv("HARNESS_CACHE_DIR", str(self.cache_dir))
            patch.setenv("HF_HUB_OFFLINE", "1")
            tasks: dict[str, Task] = self.manager.load([name])["tasks"]
        return tasks


def open_suite(kind: Literal["synthetic", "public"], tasks: Path, data: Path, cache_dir: Path) -> Suite:
    entries = {name: entry for name, entry in read_folder(tasks).items() if entry.kind == "task"}
    manager = TaskManager(include_path=str(tasks), include_defaults=False)
    return Suite(kind=kind, tasks=tasks, data=data, cache_dir=cache_dir, entries=entries, manager=manager)


@cache
def with_public_data() -> set[str]:
    """The tasks whose files lie in the folder of public data."""
    folder = public_data()
    if not folder.is_dir():
        return set()
    here = {name for name, file in all_files().items() if (folder / file.path).is_file()}
    return {name for name, entry in ALL_TASKS.items() if entry.metadata.get("data") and here.issuperset(_files(entry))}


def _files(entry: Entry) -> list[str]:
    files: list[str] = entry.metadata["data"]
    return files


def on_both(names: Iterable[str]) -> pytest.MarkDecorator:
    """Run the test for each task over synthetic data, and over the public files that are here."""
    listed = list(names)
    public = with_public_data()
    cases: list[Any] = [("synthetic", name) for name in listed]
    cases += [("public", name) for name in listed if name in public]
    return pytest.mark.parametrize(("suite", "name"), cases, indirect=["suite"])
