"""Synthetic benchmark data: every file that `tasks/data.yaml` names, in its upstream form, small and of our own making.

With it, loaders, prompts and scoring are tested where no public data lies. Nothing here was copied from a data set, and
nothing here shows that a public file is what it should be: the real files are tested beside this, where they are.

A module for each domain has `FILES`, which maps the manifest's name of a file to a function that makes its content, and
`COUNTS`, which maps each base definition (`tasks/*/_NAME.yaml`) to the number of items that are evaluated and the
numbers that are left out, by reason:

    FILES = {"gsm8k_test": partial(gsm8k, 120, first=2), ...}      # a list of rows, or a JSON object
    COUNTS = {"ocnli": (120, {"no label": 3}), ...}
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from harness.paths import tasks_dir
from tests.synthetic import analogy, code, general, legal, logic, science

DOMAINS = (logic, legal, science, analogy, code, general)
FILES: dict[str, Callable[[], Any]] = {name: make for domain in DOMAINS for name, make in domain.FILES.items()}
COUNTS: dict[str, tuple[int, dict[str, int]]] = {
    name: count for domain in DOMAINS for name, count in domain.COUNTS.items()
}


def write_data(folder: Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """Write every file of the manifest into `folder`; returns the manifest of what was written.

    An entry keeps its path, form and origin, takes the number of records of its synthetic file and loses digest and
    size: those are of the public file.
    """
    files = {}
    for name, entry in manifest["files"].items():
        content = FILES[name]()
        _write(folder / entry["path"], entry["format"], content)
        records = content[entry["records_at"]] if "records_at" in entry else content
        files[name] = {key: value for key, value in entry.items() if key not in ("sha256", "bytes")}
        files[name]["records"] = len(records)
    return {"files": files}


def _write(path: Path, form: str, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if form == "parquet":
        pd.DataFrame(content).to_parquet(path)
    elif form == "json":
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    else:
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in content).encode()
        path.write_bytes(gzip.compress(lines) if path.suffix == ".gz" else lines)


@dataclass(frozen=True)
class Project:
    """A copy of the project's tasks with their synthetic data: `root/tasks` and `root/data`.

    `root/harness/_tasks` links to the tasks, as in the project, so that code that looks for them beside itself finds
    the copy.
    """

    root: Path

    @property
    def tasks(self) -> Path:
        return self.root / "tasks"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def pin(self, *names: str) -> None:
        """Pin data files by digest and size, as the project's own manifest does with public files."""
        path = self.tasks / "data.yaml"
        manifest = yaml.safe_load(path.read_text(encoding="utf-8"))
        for name in names:
            content = (self.data / manifest["files"][name]["path"]).read_bytes()
            manifest["files"][name] |= {"sha256": [hashlib.sha256(content).hexdigest()], "bytes": len(content)}
        path.write_text(yaml.safe_dump(manifest, allow_unicode=True), encoding="utf-8")

    def installed(self, patch: pytest.MonkeyPatch) -> None:
        """Make the copy's tasks the project's own, and its data the data folder, for as long as the patch lasts."""
        patch.setattr("harness.paths.__file__", str(self.root / "harness" / "paths.py"))
        patch.setenv("HARNESS_DATA", str(self.data))
        patch.setenv("HF_HUB_OFFLINE", "1")


def write_project(root: Path) -> Project:
    """Copy the project's tasks to `root/tasks` and write their data to `root/data`.

    Manifest and definitions of the copy give the numbers of the synthetic data, so that the copy is as sound as the
    original: `harness tasks validate` finds no fault in it.
    """
    project = Project(root)
    shutil.copytree(tasks_dir(), project.tasks, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "harness").mkdir()
    (root / "harness" / "_tasks").symlink_to(project.tasks, target_is_directory=True)
    path = project.tasks / "data.yaml"
    manifest = write_data(project.data, yaml.safe_load(path.read_text(encoding="utf-8")))
    path.write_text(yaml.safe_dump(manifest, allow_unicode=True), encoding="utf-8")
    for base, (items, _) in COUNTS.items():
        (path,) = project.tasks.glob(f"*/_{base}.yaml")
        text = re.sub(r"(?m)^  items: .*$", f"  items: {items}", path.read_text(encoding="utf-8"))
        path.write_text(re.sub(r"(?m)^  (chance|left_out): .*\n", "", text), encoding="utf-8")
    for path in project.tasks.glob("*/*_lm_eval.yaml"):  # these have metadata of their own
        text = re.sub(r"(?m)^  items: .*$", "  items: null", path.read_text(encoding="utf-8"))
        path.write_text(re.sub(r"(?m)^  (chance|left_out): .*\n", "", text), encoding="utf-8")
    return project
